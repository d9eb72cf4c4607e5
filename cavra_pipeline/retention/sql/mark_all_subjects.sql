CREATE OR REPLACE TEMP TABLE touched_subjects AS
SELECT DISTINCT lane, subject FROM watched_records WHERE subject <> '' AND lane NOT IN ({{lanes_of_new_subjects}})
