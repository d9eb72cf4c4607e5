-- Subjects whose newest record of a type says what must be so before a retry is sent.
SELECT {{subject}} AS subject
FROM evidence
WHERE
    record_type = $record_type AND created_at <= $as_of::TIMESTAMP
    AND list_contains($subjects::VARCHAR[], {{subject}})
GROUP BY {{subject}}
HAVING arg_max({{field}}, {'at': created_at, 'id': session_id}) = $value
ORDER BY subject
