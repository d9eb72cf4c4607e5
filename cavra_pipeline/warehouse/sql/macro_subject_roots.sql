-- Subjects of a lane's retries as an instant sees them, at the providers at which each stands for the subject that was
-- tried first (contract section 4a). Only chains of which a part is newer than the instant are followed again.
CREATE OR REPLACE MACRO subject_roots(lane_name, until) AS TABLE
WITH RECURSIVE late AS MATERIALIZED (
    SELECT subject AS child, provider FROM retried_subjects
    WHERE has_new_subjects(lane_name) AND lane = lane_name AND since > until
),

-- As retry_edges has them, but of these alone.
edges AS MATERIALIZED (
    SELECT retry_subject AS child, provider, arg_min(subject, (linked_at, session_id)) AS parent
    FROM retry_links
    SEMI JOIN late ON late.child = retry_links.retry_subject AND late.provider = retry_links.provider
    WHERE
        has_new_subjects(lane_name)
        AND lane = lane_name AND linked_at <= until AND sent_at <= until AND retry_subject <> subject
    GROUP BY retry_subject, provider
),

chains AS (
    SELECT child, provider, parent AS root FROM edges
    UNION
    SELECT chains.child, chains.provider, edges.parent
    FROM chains
    INNER JOIN edges ON edges.child = chains.root AND edges.provider = chains.provider
),

stored_roots AS (
    SELECT subject AS child, provider, first_subject AS root
    FROM retried_subjects
    WHERE has_new_subjects(lane_name) AND lane = lane_name AND since <= until
)

SELECT child, provider, root FROM stored_roots
UNION ALL
-- What leads into a circle stands for itself.
SELECT
    chains.child, chains.provider,
    CASE WHEN stored_roots.root = stored_roots.child THEN chains.child ELSE coalesce(stored_roots.root, chains.root) END
FROM chains
ANTI JOIN edges ON edges.child = chains.root AND edges.provider = chains.provider
LEFT JOIN stored_roots ON stored_roots.child = chains.root AND stored_roots.provider = chains.provider
