INSERT INTO identity VALUES ($schema_version, $warehouse_id, 0)
