-- The (subject, provider) pairs of a lane that are failing at an instant.
CREATE OR REPLACE MACRO failing_pairs(lane_name, instant) AS TABLE
SELECT * EXCLUDE (first_seen, last_seen) FROM failing_states(lane_name, [instant])
