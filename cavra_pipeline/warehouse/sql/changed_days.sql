SELECT min(segment_day) AS first_day, max(segment_day) AS last_day FROM changed_segments WHERE lane <> ''
