"""Recoveries: when each was open, and how it stands at each provider. What to do about one is decided elsewhere."""
