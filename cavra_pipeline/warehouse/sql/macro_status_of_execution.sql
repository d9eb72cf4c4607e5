-- How an execution ended: what it says itself, else what its delivery_success says; null for other records.
CREATE OR REPLACE MACRO status_of_execution(record_type, execution_status, delivery_success) AS
CASE
    WHEN record_type = 'execution'
        THEN coalesce(execution_status, CASE WHEN delivery_success THEN 'delivered' ELSE 'failed' END)
END
