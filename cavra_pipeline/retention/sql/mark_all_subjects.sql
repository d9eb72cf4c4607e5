CREATE OR REPLACE TEMP TABLE touched_subjects AS
SELECT DISTINCT lane, subject FROM watched_records WHERE subject <> '' AND NOT has_new_subjects(lane)
