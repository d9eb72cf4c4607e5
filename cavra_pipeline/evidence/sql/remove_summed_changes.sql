DELETE FROM evidence_changes
WHERE commit_number < (SELECT max(commit_number) FROM evidence_changes WHERE commit_number <= $commit_number)
