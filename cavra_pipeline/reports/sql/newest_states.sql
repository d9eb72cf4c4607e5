-- The newest acknowledgement state of each pair of a lane at an instant.
SELECT subject, provider, acknowledgement_state
FROM newest_acknowledgements($lane, $as_of::TIMESTAMP)
