"""The demo: a seeded bad month of drills, written as CAVRA writes it.

Only invention of evidence belongs here. Nothing here reads, judges or stores it: the demo's files take the same
way through ``import`` and ``ingest`` as anybody's. No Dagster, no clock, no network.
"""

from cavra_pipeline.demo.history import DemoHistory, demo_history, write_demo

__all__ = ["DemoHistory", "demo_history", "write_demo"]
