"""CAVRA retry operations over DuckDB: evidence in, retry plans and health reports out.

The domain lives here and knows nothing of Dagster; only ``definitions.py`` and its neighbours
(``jobs.py``, ``schedules.py``, ``resources.py``) import it. ``assets`` and
``sensors`` are links to the folders of the checkout that hold Dagster's shells.
"""
