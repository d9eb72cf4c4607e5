(
    subject IN (SELECT subject FROM staged_subjects)
    OR session_id IN (SELECT retried_as FROM links WHERE subject IN (SELECT subject FROM staged_subjects))
)
