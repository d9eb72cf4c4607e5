-- How an execution ended: by a declared word, else by what its delivery_success says; null for other records.
CREATE OR REPLACE MACRO status_of_execution(record_type, execution_status, delivery_success) AS
CASE
    WHEN record_type <> 'execution' THEN NULL
    WHEN execution_status IN ('delivered', 'failed', 'skipped') THEN execution_status
    WHEN record_type = 'execution' THEN CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END
END
