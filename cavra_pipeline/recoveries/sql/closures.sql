-- What was said of recoveries, in order.
SELECT created_at AS "at", playbook_id, provider, closure_state AS state, external_ref, closure_id, signer
FROM recovery_closures
ORDER BY created_at, session_id
