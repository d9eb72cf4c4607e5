-- Mirror of the state database: what pruned deliveries add to the counts of each lane and provider.
CREATE TABLE pruned_providers (
    pruning_number BIGINT NOT NULL,
    lane VARCHAR NOT NULL,
    provider VARCHAR NOT NULL,
    failed_delivery_count BIGINT NOT NULL,
    delivered_delivery_count BIGINT NOT NULL
)
