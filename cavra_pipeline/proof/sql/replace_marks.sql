DELETE FROM touched_segments USING changed_segments AS changed
WHERE touched_segments.lane = changed.lane AND touched_segments.segment_day = changed.segment_day
