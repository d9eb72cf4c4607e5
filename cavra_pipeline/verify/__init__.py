"""Verification of a home, and proof bundles: how one is made and checked. Formats and log are in ``proof``."""
