-- Rows that may be of what fails for the first time: their keys are. A table of row ids tells which rows to read next.
CREATE OR REPLACE TEMP TABLE newly_watched AS
SELECT rowid AS row_id FROM evidence_records SEMI JOIN newly_failing USING (subject_key)
