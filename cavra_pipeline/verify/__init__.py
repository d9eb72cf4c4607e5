"""Verification: what a home holds against what it must have come from. The formats and the log are in ``proof``."""
