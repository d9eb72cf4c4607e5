DELETE FROM watched_records
WHERE session_id IN (
    SELECT session_id FROM evidence_records WHERE is_current AND rowid IN (SELECT row_id FROM removable)
)
