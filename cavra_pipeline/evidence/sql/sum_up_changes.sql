-- The last change up to a commit stands for all before it.
UPDATE evidence_changes
SET earliest = (SELECT min(earliest) FROM evidence_changes WHERE commit_number <= $commit_number)
WHERE commit_number = (SELECT max(commit_number) FROM evidence_changes WHERE commit_number <= $commit_number)
