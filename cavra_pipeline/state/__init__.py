"""The state database: what can't be computed again from evidence, in SQLite or PostgreSQL.

Tables stand in ``tables``, connections and transactions in ``database``. What a row means is its owner's: ``sending``,
``alerts``, ``slots``, ``reports`` and ``retention``. Why it exists: docs/decisions/0022-state-database.md.
"""

from cavra_pipeline.state.database import State, StateBusy, database_now, state_of

__all__ = ["State", "StateBusy", "database_now", "state_of"]
