DELETE FROM evidence_records
USING staged_drops AS staged
WHERE
    evidence_records.created_at < $horizon
    AND evidence_records.drop_day = staged.drop_day AND evidence_records.file_name = staged.file_name
