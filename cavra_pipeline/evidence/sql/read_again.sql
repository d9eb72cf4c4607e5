UPDATE drops SET fingerprint = '' WHERE file_name = $shown
