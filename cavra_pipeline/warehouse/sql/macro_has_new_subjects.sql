-- Whether the retries of a lane have subjects of their own (contract section 4a). Of a lane that a statement names DuckDB knows
-- it before it reads a table.
CREATE OR REPLACE MACRO has_new_subjects(lane_name) AS lane_name IN ({{lanes_of_new_subjects}})
