-- The subject that each subject of a retry stands for next, at a provider, by the links up to an instant: where several
-- retries share a subject, what the earliest execution names.
CREATE OR REPLACE MACRO retry_edges(lane_name, until) AS TABLE
SELECT retry_subject AS child, provider, edge.parent AS parent, edge.seen_at AS seen_at
FROM (
    SELECT
        retry_subject,
        provider,
        arg_min(
            {'parent': subject, 'seen_at': greatest(linked_at, sent_at)}, (linked_at, session_id)
        ) AS edge
    FROM retry_links
    WHERE
        lane = lane_name AND linked_at <= until AND sent_at <= until
        AND retry_subject <> subject AND provider IS NOT NULL
    GROUP BY retry_subject, provider
)
