"""Runs the revisions on the connection that ``State`` hands over."""

from alembic import context

from cavra_pipeline.state.database import VERSION_TABLE
from cavra_pipeline.state.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    render_as_batch=True,
)
context.run_migrations()
