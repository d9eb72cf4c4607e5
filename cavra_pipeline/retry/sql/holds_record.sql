SELECT session_id FROM evidence_records WHERE session_id = $session_id LIMIT 1
