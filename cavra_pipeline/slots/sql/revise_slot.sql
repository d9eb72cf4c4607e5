UPDATE schedule_slots
SET verdict = $verdict, cause = $cause, done_at = $done_at, run_id = $run_id, revised_at = $judged_at
WHERE schedule = $schedule AND expected_at = $expected_at
