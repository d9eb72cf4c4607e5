-- Subjects of a lane that are not over at the horizon: a pair is not settled, or its newest execution did not deliver.
-- Every later answer about them needs their whole history. Where a retry has a subject of its own (contract section 4a),
-- so does one about a subject that is named after the horizon, and the subjects that stand for them are kept too.
INSERT INTO open_subjects
WITH roots AS MATERIALIZED (
    SELECT DISTINCT child AS subject, root FROM subject_roots($lane, TIMESTAMP 'infinity')
),

outcomes AS MATERIALIZED (
    FROM attributed_outcomes($lane, $horizon::TIMESTAMP - INTERVAL 1 MICROSECOND)
),

turns AS (
    SELECT subject, provider, created_at, session_id, is_failed AS is_open, NOT is_failed AS is_settled FROM outcomes
    UNION ALL
    SELECT subject, provider, created_at, session_id, execution_status <> 'delivered', false
    FROM attributed_records($lane, $horizon::TIMESTAMP - INTERVAL 1 MICROSECOND)
    WHERE record_type = 'execution'
),

needed AS (
    SELECT subject
    FROM turns
    GROUP BY subject, provider
    HAVING NOT bool_or(is_settled) AND bool_or(is_open)
    UNION
    SELECT subject
    FROM evidence
    WHERE
        $has_new_subjects AND lane = $lane AND created_at >= $horizon
        AND record_type IN ('delivery', 'execution', 'acknowledgement', 'approval')
),

needed_roots AS (
    SELECT subject FROM needed
    UNION
    SELECT roots.root FROM needed INNER JOIN roots USING (subject)
)

SELECT $lane, subject FROM needed_roots WHERE subject IS NOT NULL
UNION
SELECT $lane, roots.subject FROM roots WHERE roots.root IN (SELECT subject FROM needed_roots)
