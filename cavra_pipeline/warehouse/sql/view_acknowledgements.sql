CREATE OR REPLACE VIEW acknowledgements AS
SELECT
    session_id, created_at, lane, subject, replace(lower(trim(provider, E' \t\r\n')), '-', '_') AS provider,
    acknowledgement_state, acknowledgement_id, signer, drop_day
FROM evidence
WHERE record_type = 'acknowledgement'
