-- Each intent once: what is stored already keeps its state, its ids and its message.
INSERT INTO send_intents BY NAME
SELECT
    given_intents.* REPLACE (message::JSON AS message, context::JSON AS context),
    'pending' AS state, 0 AS claim_count
FROM given_intents
WHERE NOT EXISTS (SELECT 1 FROM send_intents AS stored WHERE stored.intent_id = given_intents.intent_id)
