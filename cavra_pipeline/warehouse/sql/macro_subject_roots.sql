-- Subjects of retries, at the providers at which each stands for the subject that was tried first (contract section 4a).
-- An execution names its own subject and the retry's delivery; where two name one delivery the earlier counts. A circle
-- has no beginning: its subjects stand for themselves.
CREATE OR REPLACE MACRO subject_roots(lane_name, until) AS TABLE
WITH RECURSIVE links AS MATERIALIZED (
    SELECT
        retried_as,
        first({'subject': subject, 'provider': provider, 'at': created_at, 'id': session_id} ORDER BY created_at, session_id)
            AS link
    FROM watched_records
    WHERE lane = lane_name AND record_type = 'execution' AND created_at <= until AND retried_as IS NOT NULL AND subject <> ''
    GROUP BY retried_as
),

edges AS MATERIALIZED (
    SELECT sent.subject AS child, links.link.provider AS provider, arg_min(links.link.subject, {'at': links.link.at, 'id': links.link.id}) AS parent
    FROM links
    INNER JOIN watched_records AS sent ON sent.session_id = links.retried_as
    WHERE
        sent.lane = lane_name AND sent.record_type = 'delivery' AND sent.created_at <= until
        AND sent.subject <> links.link.subject
    GROUP BY child, links.link.provider
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
