"""Sources of evidence, named once in ``sources.yaml``: what they are, pulling them, and how they stand.

What belongs here: the file's form, CAVRA's ``GET /evidence``, one pull, and what is remembered of pulls.
What does not: the boundary and the landing zone (``evidence``), and when a pull is asked for (schedules).
"""

from cavra_pipeline.sources.config import Source, Sources, read_sources
from cavra_pipeline.sources.pull import SourcePull, pull
from cavra_pipeline.sources.pulls import PullState, due_sources, pull_states

__all__ = ["PullState", "Source", "SourcePull", "Sources", "due_sources", "pull", "pull_states", "read_sources"]
