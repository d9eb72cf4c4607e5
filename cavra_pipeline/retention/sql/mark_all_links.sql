-- Every delivery that an execution names: its link to what it retries (contract section 4a) is made again.
CREATE OR REPLACE TEMP TABLE touched_links AS
SELECT retried_as FROM retry_links
UNION
SELECT retried_as FROM watched_records WHERE record_type = 'execution' AND retried_as IS NOT NULL
