INSERT INTO alert_events BY NAME SELECT * FROM given_events
