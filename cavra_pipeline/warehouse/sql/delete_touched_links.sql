DELETE FROM retry_links WHERE retried_as IN (FROM touched_links)
