-- The recoveries that opened up to an instant, in order of opening.
SELECT opened_at, playbook_id, provider, category, failure_count
FROM recoveries
WHERE opened_at <= $until
ORDER BY opened_at, playbook_id, provider, failure_count, category
