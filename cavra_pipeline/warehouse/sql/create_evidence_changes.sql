-- From when on commits have changed evidence. Those that the state database knows are one row, the last of them.
CREATE TABLE evidence_changes (
    commit_number BIGINT NOT NULL,
    earliest TIMESTAMP NOT NULL
)
