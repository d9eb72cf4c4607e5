-- Subjects whose first subject may have changed: those whose link was made again, and all that stand behind them.
CREATE OR REPLACE TEMP TABLE relinked AS
WITH RECURSIVE links AS MATERIALIZED (
    SELECT DISTINCT lane, retry_subject AS subject, provider, subject AS parent
    FROM retry_links
    WHERE
        retry_subject <> subject AND provider IS NOT NULL
        AND EXISTS (FROM touched_links)
),

behind AS (
    FROM relinked_before
    UNION
    SELECT lane, retry_subject, provider
    FROM retry_links
    WHERE retried_as IN (FROM touched_links) AND retry_subject IS NOT NULL AND provider IS NOT NULL
    UNION
    SELECT links.lane, links.subject, links.provider
    FROM behind
    INNER JOIN links
        ON links.lane = behind.lane AND links.provider = behind.provider AND links.parent = behind.subject
)

FROM behind
