-- Decisions and gaps of kept reports, each text once however many days it stands in. Numbered from 1 without a gap: a
-- document finds its entries by their place.
CREATE TABLE report_entries (
    number BIGINT NOT NULL,
    digest VARCHAR NOT NULL,
    entry VARCHAR NOT NULL
)
