-- Subjects of retries, at the providers at which each stands for the subject that was tried first (contract section 4a).
-- Where several retries share a subject, it stands for what the earliest execution names. A circle has no beginning: its
-- subjects stand for themselves.
CREATE OR REPLACE MACRO subject_roots(lane_name, until) AS TABLE
WITH RECURSIVE edges AS MATERIALIZED (
    SELECT
        sent.subject AS child,
        links.provider AS provider,
        arg_min(links.subject, {'created_at': links.created_at, 'session_id': links.session_id}) AS parent
    FROM retry_links(lane_name, until) AS links
    INNER JOIN watched_records AS sent ON sent.session_id = links.retried_as
    WHERE
        sent.lane = lane_name AND sent.record_type = 'delivery' AND sent.created_at <= until
        AND sent.subject <> links.subject
    GROUP BY child, links.provider
),

chains AS (
    SELECT child, provider, parent AS root FROM edges
    UNION
    SELECT chains.child, chains.provider, edges.parent
    FROM chains
    INNER JOIN edges ON edges.child = chains.root AND edges.provider = chains.provider
)

SELECT chains.child, chains.provider, chains.root
FROM chains
ANTI JOIN edges ON edges.child = chains.root AND edges.provider = chains.provider
