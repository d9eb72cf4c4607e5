DELETE FROM lane_days USING changed_segments AS changed
WHERE lane_days.lane = changed.lane AND lane_days.segment_day = changed.segment_day
