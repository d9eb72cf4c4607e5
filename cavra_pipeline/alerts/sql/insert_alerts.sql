INSERT INTO alerts BY NAME
SELECT * REPLACE (causes::JSON AS causes, evidence::JSON AS evidence) FROM given_alerts
