CREATE OR REPLACE VIEW recoveries AS
SELECT
    session_id, created_at AS opened_at, coalesce(playbook_id, '') AS playbook_id,
    coalesce(provider_name(entry.provider), '') AS provider, entry.category AS category,
    entry.failure_count AS failure_count, entry.latest_failure_at AS latest_failure_at, signer, drop_day
FROM (
    SELECT session_id, created_at, playbook_id, signer, drop_day, unnest(provider_playbooks) AS entry
    FROM evidence
    WHERE record_type = 'playbook'
)
