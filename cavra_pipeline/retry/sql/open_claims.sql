SELECT DISTINCT worker_run_id FROM retry_intents WHERE state = 'claimed' ORDER BY worker_run_id
