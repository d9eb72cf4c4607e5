-- The query stands in lines of its own: it may end in a comment.
FROM (
{{query}}
)
ORDER BY ALL
