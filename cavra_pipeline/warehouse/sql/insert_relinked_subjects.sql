-- Follows the links from each changed subject to the first. The instant from which that holds is that of the newest link.
INSERT INTO retried_subjects BY NAME
WITH RECURSIVE edges AS MATERIALIZED (
    SELECT lanes.lane, edges.*
    FROM (SELECT DISTINCT lane FROM relinked) AS lanes, retry_edges(lanes.lane, TIMESTAMP 'infinity') AS edges
),

chains AS (
    SELECT edges.lane, edges.child, edges.provider, edges.parent AS root, edges.seen_at AS since
    FROM edges
    SEMI JOIN relinked
        ON relinked.lane = edges.lane AND relinked.subject = edges.child AND relinked.provider = edges.provider
    UNION
    SELECT chains.lane, chains.child, chains.provider, edges.parent, greatest(chains.since, edges.seen_at)
    FROM chains
    INNER JOIN edges
        ON edges.lane = chains.lane AND edges.child = chains.root AND edges.provider = chains.provider
)

SELECT
    chains.lane,
    chains.child AS subject,
    chains.provider,
    coalesce(max(chains.root) FILTER (edges.child IS NULL), chains.child) AS first_subject,
    max(chains.since) AS since
FROM chains
LEFT JOIN edges ON edges.lane = chains.lane AND edges.child = chains.root AND edges.provider = chains.provider
GROUP BY chains.lane, chains.child, chains.provider
