"""Creates the first tables."""

from alembic import op

from cavra_pipeline.state.tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Creates every table."""
    METADATA.create_all(op.get_bind())
