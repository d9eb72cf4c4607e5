UPDATE leaks SET handled_at = $now
WHERE handled_at IS NULL AND drop_day = $drop_day::DATE AND leak_number <= $newest_leak
