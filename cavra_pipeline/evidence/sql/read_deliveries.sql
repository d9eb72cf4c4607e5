-- What a delivery means: lane and subject (contract section 4), and one outcome for each provider that it names (section 6).
WITH lines AS ({{lines}}),

named AS (
    SELECT
        *,
        CASE connector_delivery_source {{lane}} END AS lane,
        list_filter(list_transform(coalesce(providers, []), lambda p: provider_name(p)), lambda p: p <> '') AS tried,
        list_filter(list_transform(coalesce(failed_providers, []), lambda p: provider_name(p)), lambda p: p <> '') AS failed
    FROM lines
)

SELECT
    * EXCLUDE (tried, failed),
    'delivery' AS record_type,
    CASE lane {{subject}} END AS subject,
    list_transform(
        list_filter(tried || failed, lambda p, place: list_position(tried || failed, p) = place),
        lambda p: {
            'provider': p,
            'is_failed': CASE WHEN len(failed) > 0 THEN list_contains(failed, p) ELSE delivery_success IS DISTINCT FROM true END,
            'status_code': coalesce(
                list_filter(provider_deliveries, lambda d: provider_name(d.provider) = p)[-1].status_code,
                CASE WHEN len(coalesce(status_codes, [])) = len(tried) THEN status_codes[list_position(tried, p)] END
            )
        }
    ) AS outcomes
FROM named
