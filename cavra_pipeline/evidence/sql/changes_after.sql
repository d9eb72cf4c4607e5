SELECT commit_number, earliest FROM evidence_changes WHERE commit_number > $after ORDER BY commit_number
