-- Subjects of retries, at a provider, whose link is about to be made again.
CREATE OR REPLACE TEMP TABLE relinked_before AS
SELECT DISTINCT lane, retry_subject AS subject, provider
FROM retry_links
WHERE retried_as IN (FROM touched_links) AND retry_subject IS NOT NULL AND provider IS NOT NULL
