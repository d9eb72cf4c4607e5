INSERT INTO schedule_slots
VALUES (
    $schedule, $expected_at, $verdict, $cause, $done_at, $run_id, $closes_at, $configuration_from, $judged_at, NULL
)
