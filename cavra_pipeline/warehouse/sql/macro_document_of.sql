-- The document of a kept report. All entries are one list, so that a question about few reports puts together only those.
CREATE OR REPLACE MACRO document_of(opening, entries, closing) AS (
    opening || coalesce(
        array_to_string(list_select((SELECT list(entry ORDER BY number) FROM report_entries), entries), ','), ''
    ) || closing
)::JSON
