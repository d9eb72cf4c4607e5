SELECT 2 * $row_count > count(*) AS is_most_ingested FROM evidence_records
