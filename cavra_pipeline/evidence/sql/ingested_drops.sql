SELECT drop_day, file_name, fingerprint
FROM drops
WHERE $days::DATE[] IS NULL OR list_contains($days::DATE[], drop_day)
ORDER BY drop_day, file_name
