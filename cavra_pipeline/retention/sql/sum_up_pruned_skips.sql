SELECT lane, coalesce(nullif(skip_reason, ''), 'other') AS reason, count(*) AS skipped_count
FROM evidence_records
WHERE
    is_current AND record_type = 'execution' AND lane IS NOT NULL
    AND status_of_execution(record_type, execution_status, delivery_success) = 'skipped'
    AND rowid IN (SELECT row_id FROM removable)
GROUP BY ALL
ORDER BY lane, reason
