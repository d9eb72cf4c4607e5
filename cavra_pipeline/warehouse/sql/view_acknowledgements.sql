CREATE OR REPLACE VIEW acknowledgements AS
SELECT
    session_id, created_at, lane, subject, provider_name(provider) AS provider,
    acknowledgement_state, acknowledgement_id, signer, drop_day
FROM evidence
WHERE record_type = 'acknowledgement'
