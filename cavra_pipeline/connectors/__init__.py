"""Connectors: the ways out of the pipeline to people and their tools.

What belongs here: configuration, requests, signatures, grading and delivery over HTTP. A caller needs the
names below and no others.
What does not: Dagster, DuckDB, and deciding what is sent, when, or whether again: that is the worker's.
"""

from cavra_pipeline.connectors.config import Connectors, read_connectors
from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.deliver import DeliveryOutcome, DeliverySettings, deliver
from cavra_pipeline.connectors.faults import PROBLEM_REASONS, WHOLE_FILE, ConnectorConfigError, ConnectorProblem
from cavra_pipeline.connectors.grading import Grade, GradedResponse
from cavra_pipeline.connectors.notification import Notification, Severity
from cavra_pipeline.connectors.providers import PROVIDERS, grade, prepare
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.tokens import Tokens

__all__ = [
    "PROBLEM_REASONS",
    "PROVIDERS",
    "WHOLE_FILE",
    "Connector",
    "ConnectorConfigError",
    "ConnectorProblem",
    "Connectors",
    "DeliveryOutcome",
    "DeliverySettings",
    "Grade",
    "GradedResponse",
    "Notification",
    "Secret",
    "Severity",
    "Tokens",
    "deliver",
    "grade",
    "prepare",
    "read_connectors",
]
