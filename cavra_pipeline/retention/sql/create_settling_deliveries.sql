CREATE OR REPLACE TEMP TABLE settling_deliveries (session_id VARCHAR)
