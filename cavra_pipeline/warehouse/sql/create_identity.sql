-- Which warehouse this is, and how many transactions were committed in it.
CREATE TABLE identity (schema_version INTEGER NOT NULL, warehouse_id VARCHAR NOT NULL, commit_number BIGINT NOT NULL)
