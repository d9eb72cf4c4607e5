UPDATE identity SET commit_number = commit_number + 1
