SELECT created_day FROM replaced
UNION
SELECT created_at::DATE FROM given_records
ORDER BY created_day
