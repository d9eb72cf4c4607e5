DELETE FROM watched_records USING contested WHERE watched_records.session_id = contested.session_id
