-- How many records of a lane, of one type or of all where it is null, each instant sees, and how many there are in all. Those of
-- the days before the first instant's are counted already (lane_days); pruned ones are not in it.
CREATE OR REPLACE MACRO records_up_to(lane_name, instants, type_name) AS TABLE
WITH of_days AS (
    SELECT
        coalesce(sum(record_count), 0)::BIGINT AS whole,
        coalesce(sum(record_count) FILTER (segment_day < list_min(instants)::DATE), 0)::BIGINT AS before_day
    FROM lane_days
    WHERE lane = lane_name AND (type_name IS NULL OR record_type = type_name)
),

counted AS (
    SELECT unnest(map_keys(counts)) AS as_of, unnest(map_values(counts)) AS more
    FROM (
        SELECT histogram(created_at, instants) AS counts
        FROM evidence
        WHERE
            lane = lane_name AND (type_name IS NULL OR record_type = type_name)
            AND created_at >= list_min(instants)::DATE AND created_at <= list_max(instants)
    )
)

SELECT
    places.number,
    of_days.before_day + coalesce(sum(counted.more) OVER (ORDER BY places.number), 0)::BIGINT AS seen_count,
    of_days.whole
FROM numbered(instants) AS places
LEFT JOIN counted USING (as_of)
CROSS JOIN of_days
