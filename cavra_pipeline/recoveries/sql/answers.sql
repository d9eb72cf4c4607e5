-- What operators said of escalation plans that name a recovery, up to an instant, in order.
SELECT subject AS plan_id, provider, created_at, acknowledgement_state, signer
FROM acknowledgements
SEMI JOIN (SELECT plan_id AS subject FROM escalation_routes WHERE playbook_id <> '') USING (subject)
WHERE lane = $lane AND created_at <= $until
ORDER BY created_at, session_id
