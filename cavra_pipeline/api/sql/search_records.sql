-- Current records that pass every filter, in CAVRA's order: one page of them, and the total. A filter that is null passes
-- all. Beyond the last page there is one row, with the total alone.
WITH matching AS (
    SELECT session_id, created_at
    FROM evidence
    WHERE
        NOT $is_nothing::BOOLEAN
        AND ($session_id::VARCHAR IS NULL OR session_id = $session_id)
        AND ($part_of_id::VARCHAR IS NULL OR contains(session_id, $part_of_id))
        AND ($signer::VARCHAR IS NULL OR signer = $signer)
        AND ($min_blocked::BIGINT IS NULL OR coalesce(blocked_count, 0) >= $min_blocked)
        AND ($has_approvals::BOOLEAN IS NULL OR (coalesce(approval_required_count, 0) > 0) = $has_approvals)
        AND ($metadata_kind::VARCHAR IS NULL OR metadata_kind = $metadata_kind)
        AND (
            $kind_prefix::VARCHAR IS NULL
            OR starts_with(metadata_kind, $kind_prefix)
            OR starts_with(connector_delivery_source, $source_prefix::VARCHAR)
        )
        AND ($until::TIMESTAMP IS NULL OR created_at <= $until)
        AND ($lane::VARCHAR IS NULL OR lane = $lane)
        AND ($record_types::VARCHAR[] IS NULL OR list_contains($record_types, record_type))
        AND ($approval_state::VARCHAR IS NULL OR approval_state = $approval_state)
        AND ($acknowledgement_state::VARCHAR IS NULL OR acknowledgement_state = $acknowledgement_state)
        AND ($delivery_source::VARCHAR IS NULL OR connector_delivery_source = $delivery_source)
        AND ($delivery_success::BOOLEAN IS NULL OR delivery_success = $delivery_success)
        AND ($alert_level::VARCHAR IS NULL OR alert_level = $alert_level)
        AND ($audit_id::VARCHAR IS NULL OR audit_id = $audit_id)
        AND ($delivery_id::VARCHAR IS NULL OR delivery_id = $delivery_id)
        AND ($health_id::VARCHAR IS NULL OR health_id = $health_id)
        AND ($cadence::VARCHAR IS NULL OR schedule_cadence = $cadence)
        AND (
            $suppressed::BOOLEAN IS NULL
            OR (greatest(coalesce(suppressed_provider_count, 0), coalesce(len(suppressed_providers), 0)) > 0) = $suppressed
        )
        AND (
            $provider::VARCHAR IS NULL
            OR provider_name(provider) = $provider
            OR list_contains(list_transform(outcomes, lambda outcome: outcome.provider), $provider)
            OR list_contains(list_transform(selected_providers, lambda selected: provider_name(selected)), $provider)
        )
),

page AS (
    SELECT session_id
    FROM matching
    ORDER BY created_at DESC, session_id
    LIMIT $most
    OFFSET $start
)

SELECT (SELECT count(*) FROM matching) AS total, record.*
FROM (VALUES (0)) AS single_row (row)
LEFT JOIN (SELECT {{columns}} FROM evidence SEMI JOIN page USING (session_id)) AS record ON true
ORDER BY record.created_at DESC, record.session_id
