SELECT silence_id, kind, subject, author, starts_at, ends_at, comment
FROM alert_silences
WHERE ends_at > $now
ORDER BY starts_at, silence_id
