DROP TABLE retry_intents
