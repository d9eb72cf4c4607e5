-- What a lane's retries up to an instant retry: the delivery, and the subject and provider that its execution names
-- (contract section 4a). Where two executions name one delivery the earlier counts.
CREATE OR REPLACE MACRO retry_links(lane_name, until) AS TABLE
SELECT link.retried_as, link.subject, link.provider, link.created_at, link.session_id
FROM (
    SELECT
        arg_min(
            {
                'retried_as': retried_as, 'subject': subject, 'provider': provider, 'created_at': created_at,
                'session_id': session_id
            },
            {'created_at': created_at, 'session_id': session_id}
        ) AS link
    FROM watched_records
    WHERE
        lane = lane_name AND record_type = 'execution' AND created_at <= until AND retried_as IS NOT NULL
        AND subject <> ''
    GROUP BY retried_as
)
