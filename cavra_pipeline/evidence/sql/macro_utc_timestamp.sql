-- DuckDB's cast to TIMESTAMP ignores an offset, so it is cut off and applied here. Text that ISO_TIMESTAMP accepts only.
CREATE OR REPLACE MACRO utc_timestamp(stamp) AS
    CASE
        WHEN left(right(stamp, 6), 1) IN ('+', '-') THEN
            try_cast(left(stamp, -6) AS TIMESTAMP) - to_minutes(
                (left(right(stamp, 6), 1) || '1')::INTEGER
                * (left(right(stamp, 5), 2)::INTEGER * 60 + right(stamp, 2)::INTEGER)
            )
        ELSE try_cast(rtrim(stamp, 'Z') AS TIMESTAMP)
    END
