SELECT *
FROM schedule_configurations
ORDER BY schedule, valid_from
