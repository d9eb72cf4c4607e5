-- What was said of recoveries, in order.
SELECT created_at, playbook_id, provider, closure_state, external_ref
FROM recovery_closures
ORDER BY created_at, session_id
