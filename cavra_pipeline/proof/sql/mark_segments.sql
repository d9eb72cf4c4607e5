-- Marks the segments in changed_segments with the number that the open transaction will have.
INSERT INTO touched_segments BY NAME
SELECT lane, segment_day, (SELECT commit_number + 1 FROM identity) AS commit_number FROM changed_segments
