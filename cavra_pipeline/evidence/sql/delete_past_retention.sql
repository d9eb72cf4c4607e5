DELETE FROM evidence_records
USING given_drops AS given
WHERE
    evidence_records.created_at < $horizon
    AND evidence_records.drop_day = given.drop_day AND evidence_records.file_name = given.file_name
