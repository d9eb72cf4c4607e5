CREATE OR REPLACE VIEW recovery_closures AS
SELECT
    session_id, created_at, coalesce(playbook_id, '') AS playbook_id,
    coalesce(provider_name(provider), '') AS provider, coalesce(closure_state, 'other') AS closure_state,
    closure_id, external_ref, signer, drop_day
FROM evidence
WHERE record_type = 'closure'
