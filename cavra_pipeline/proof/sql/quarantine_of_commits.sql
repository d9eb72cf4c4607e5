-- Rejected lines of the landing files that commits after the given one have read.
SELECT drop_day, file_name, source_file, line_number, sha256, reason, field
FROM quarantine
SEMI JOIN (SELECT drop_day, file_name FROM drops WHERE commit_number > $after AND fingerprint <> '') AS staged
    USING (drop_day, file_name)
ORDER BY drop_day, file_name, source_file, line_number, sha256, reason
