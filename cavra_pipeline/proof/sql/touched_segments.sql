-- Segments that commits after the given one have changed.
SELECT lane, segment_day, commit_number FROM touched_segments WHERE commit_number > $after ORDER BY lane, segment_day
