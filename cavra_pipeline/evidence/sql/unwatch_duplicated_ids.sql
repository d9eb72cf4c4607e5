DELETE FROM watched_records USING duplicated_ids WHERE watched_records.session_id = duplicated_ids.session_id
