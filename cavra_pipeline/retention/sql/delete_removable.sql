DELETE FROM evidence_records WHERE rowid IN (SELECT row_id FROM removable)
