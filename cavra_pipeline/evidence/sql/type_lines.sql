-- Lines proven to fit their kind's allowlist, as typed rows. from_json takes the declared fields and nothing else.
-- A row with fits = false has a value that only the reference may judge (an unusual timestamp, an unsafe label).
WITH typed AS (
    SELECT line_number, dropped_field_count, from_json(line, {{structure}}) AS record
    FROM lines
),

named AS (
    SELECT
        line_number,
        dropped_field_count,
        {{fields}}
    FROM typed
),

placed AS (
    SELECT
        named.*,
        kinds.record_type,
        coalesce(kinds.lane, sources.lane) AS lane,
        list_filter(list_transform(named.providers, lambda p: provider_name(p)), lambda p: p <> '') AS went_through,
        list_filter(list_transform(named.failed_providers, lambda p: provider_name(p)), lambda p: p <> '') AS failed
    FROM named
    LEFT JOIN kinds ON kinds.metadata_kind = named.metadata_kind
    LEFT JOIN sources
        ON sources.delivery_source = named.connector_delivery_source AND kinds.record_type = 'delivery'
)

SELECT
    line_number,
    record_type,
    lane,
    {{subject}} AS subject,
    {{columns}},
    list_transform(
        raw_deliveries,
        lambda d: {{delivery}}
    ) AS provider_deliveries,
    CASE WHEN record_type = 'delivery' THEN list_transform(
        list_distinct(list_concat(went_through, failed)),
        lambda p: {
            provider: p,
            is_failed: CASE
                WHEN len(failed) > 0 THEN list_contains(failed, p)
                ELSE delivery_success IS NOT TRUE
            END,
            status_code: coalesce(
                list_filter(raw_deliveries, lambda d: provider_name(d.provider) = p)[-1].status_code,
                CASE WHEN len(status_codes) = len(went_through) THEN status_codes[list_position(went_through, p)] END
            )
        }
    ) END AS outcomes,
    dropped_field_count,
    coalesce(
        regexp_matches(session_id, '[!-~]')
        AND length(session_id) <= {{max_session_id}}
        AND regexp_full_match(raw_created_at, {{iso_timestamp}})
        AND created_at IS NOT NULL
        AND (signer IS NULL OR regexp_full_match(signer, {{actor_label}}))
        AND coalesce(list_bool_and(list_transform(raw_deliveries, lambda d: {{delivery_fits}})), true),
        false
    ) AS fits
FROM placed
ORDER BY line_number
