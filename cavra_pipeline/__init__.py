"""CAVRA retry operations over DuckDB: evidence in, retry plans and health reports out.

The domain lives here and knows nothing of Dagster; only ``definitions.py`` and its neighbours
(``jobs.py``, ``schedules.py``, ``resources.py``) import it. Assets and sensors are packages beside this one.
"""
