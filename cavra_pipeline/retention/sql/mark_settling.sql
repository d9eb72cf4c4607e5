-- The delivery that settled a pair, where its subject is named after the horizon: a later send of it differs from a first
-- one by that alone (contract section 6).
INSERT INTO settling_deliveries
SELECT arg_min(session_id, {'at': created_at, 'id': session_id})
FROM attributed_outcomes($lane, $horizon::TIMESTAMP - INTERVAL 1 MICROSECOND)
WHERE
    NOT is_failed
    AND subject IN (SELECT subject FROM evidence WHERE lane = $lane AND created_at >= $horizon)
GROUP BY subject, provider
