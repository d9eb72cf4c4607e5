-- A report is given with the places of its entries among the given ones, and kept with their numbers.
INSERT INTO kept_reports BY NAME
SELECT
    * REPLACE (
        list_select(
            (
                SELECT list(held.number ORDER BY given.place)
                FROM given_entries AS given
                INNER JOIN report_entries AS held USING (digest)
            ),
            entries
        ) AS entries
    )
FROM given_reports
