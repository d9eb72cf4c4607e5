-- Executions in the window by outcome, and the pairs whose newest execution still stands as failed.
WITH seen AS (
    SELECT
        coalesce(subject, '') AS subject,
        coalesce(provider, '') AS provider,
        created_at,
        session_id,
        coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END) AS status
    FROM executions
    WHERE lane = $lane AND created_at <= $as_of
),

-- Only a pair that failed at some time can stand as failed; most never did.
ever_failed AS MATERIALIZED (
    SELECT DISTINCT subject, provider FROM seen WHERE status IN ('failed', 'skipped')
),

newest AS (
    SELECT
        subject,
        provider,
        last(status ORDER BY created_at, session_id) AS status,
        max({'at': created_at, 'id': session_id}) AS stamp
    FROM seen
    SEMI JOIN ever_failed USING (subject, provider)
    GROUP BY subject, provider
),

failed AS MATERIALIZED (
    SELECT newest.*
    FROM newest
    LEFT JOIN newest_acknowledgements($lane, $as_of::TIMESTAMP) AS acknowledged USING (subject, provider)
    WHERE
        newest.status IN ('failed', 'skipped')
        AND coalesce(acknowledged.acknowledgement_state NOT IN ('resolved', 'dismissed'), true)
),

delivered_later AS (
    SELECT DISTINCT failed.subject, failed.provider
    FROM failed
    INNER JOIN delivery_outcomes AS outcome USING (subject, provider)
    WHERE
        outcome.lane = $lane AND outcome.created_at <= $as_of AND NOT outcome.is_failed
        AND {'at': outcome.created_at, 'id': outcome.session_id} > failed.stamp
)

SELECT
    (SELECT count(*) FROM seen WHERE created_at > $window_start) AS execution_record_count,
    (
        SELECT count(*) FROM seen WHERE created_at > $window_start AND status IN ('failed', 'skipped')
    ) AS failed_execution_count,
    (SELECT count(*) FROM seen WHERE created_at > $window_start AND status = 'delivered') AS delivered_execution_count,
    (
        SELECT count(*) FROM failed ANTI JOIN delivered_later USING (subject, provider)
    ) AS unresolved_failed_execution_count
