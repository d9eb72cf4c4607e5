INSERT INTO alert_outbox BY NAME
SELECT * REPLACE (told::JSON AS told, document::JSON AS document) FROM given_notices
