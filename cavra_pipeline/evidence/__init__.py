"""Evidence in: sources, landing zone, the public-safe boundary and ingest. No report is computed here."""
