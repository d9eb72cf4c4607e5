-- One pass over raw lines: what the reference needs to know of each, and its declared fields as a typed row.
-- is_suspect (given): something stands in it that only the reference may judge, such as a hint of a secret or a declared name
-- before a value of another type. shape: the kind and which declared fields are there, if these are all the keys there
-- are (a key is a quote and a colon; a line with escapes is suspect); else its keys as they stand. Not JSON: no shape.
-- fits = false: a value that only the reference may judge, such as an unusual timestamp. from_json fails on
-- what is no JSON, so is_json has to be right.
WITH typed AS (
    SELECT
        line_number,
        line,
        is_suspect,
        key_count,
        {{is_json}} AS is_json,
        from_json(CASE WHEN is_json AND NOT is_suspect THEN line END, {{structure}}) AS record
    FROM lines
),

named AS (
    SELECT
        * EXCLUDE (record),
        {{fields}},
        {{presence}} AS presence,
        {{nested_presence}} AS nested_presence
    FROM typed
),

placed AS (
    SELECT
        named.*,
        kinds.record_type,
        coalesce(kinds.lane, sources.lane) AS lane,
        list_filter(list_transform(providers, lambda p: provider_name(p)), lambda p: p <> '') AS went_through,
        list_filter(list_transform(failed_providers, lambda p: provider_name(p)), lambda p: p <> '') AS failed,
        list_reverse(list_transform(raw_deliveries, lambda d: provider_name(d.provider))) AS delivered_last_first,
        coalesce(list_sum(list_transform(raw_deliveries, lambda d: {{member_count}})), 0) AS member_count,
        {{timestamps}},
        list_transform(raw_deliveries, lambda d: {{delivery}}) AS provider_deliveries
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
    provider_deliveries,
    CASE WHEN record_type = 'delivery' THEN list_transform(
        list_distinct(list_concat(went_through, failed)),
        lambda p: {
            provider: p,
            is_failed: CASE
                WHEN len(failed) > 0 THEN list_contains(failed, p)
                ELSE delivery_success IS NOT TRUE
            END,
            status_code: coalesce(
                raw_deliveries[-list_position(delivered_last_first, p)].status_code,
                CASE WHEN len(status_codes) = len(went_through) THEN status_codes[list_position(went_through, p)] END
            )
        }
    ) END AS outcomes,
    is_suspect,
    CASE
        WHEN is_json AND key_count = bit_count(presence) + bit_count(nested_presence) + member_count
            THEN hash(metadata_kind, presence, nested_presence)
        WHEN is_json THEN hash(
            metadata_kind,
            json_keys(line, {{object_paths}}),
            json_keys(line, '$.delivery.deliveries[*]'),
            json_keys(line, '$..*')
        )
    END AS shape,
    coalesce(
        ascii(session_id) BETWEEN 33 AND 126
        AND length(session_id) <= {{max_session_id}}
        AND regexp_full_match(raw_created_at, {{iso_timestamp}})
        AND created_at IS NOT NULL
        AND coalesce(
            list_bool_and(list_transform(raw_deliveries, lambda d: {{member_count}} > 0 AND {{delivery_fits}})), true
        ),
        false
    ) AS fits
FROM placed
