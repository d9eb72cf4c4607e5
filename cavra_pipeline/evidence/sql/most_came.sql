SELECT 2 * $came > count(*) AS most_came FROM evidence_records
