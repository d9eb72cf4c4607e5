-- An ISO-8601 timestamp as UTC without a zone; without an offset it is UTC, which needs the session's TimeZone to be so.
-- A cast to TIMESTAMP would ignore the offset. Text that ISO_TIMESTAMP accepts only.
CREATE OR REPLACE MACRO utc_timestamp(stamp) AS make_timestamp(epoch_us(try_cast(stamp AS TIMESTAMPTZ)))
