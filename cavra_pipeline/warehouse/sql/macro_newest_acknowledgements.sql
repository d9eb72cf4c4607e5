-- The newest acknowledgement of each (subject, provider) of a lane at an instant.
CREATE OR REPLACE MACRO newest_acknowledgements(lane_name, instant) AS TABLE
SELECT
    subject,
    provider,
    last(acknowledgement_state ORDER BY created_at, session_id) AS acknowledgement_state
FROM acknowledgements
WHERE lane = lane_name AND created_at <= instant
GROUP BY subject, provider
