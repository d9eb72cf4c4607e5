-- Subjects, at a provider, that stand for the one that was tried first (contract section 4a).
SELECT child AS subject, provider
FROM subject_roots($lane, $until::TIMESTAMP)
WHERE child <> root AND list_contains($subjects::VARCHAR[], child)
ORDER BY child, provider
