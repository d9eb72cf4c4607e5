"""Connectors: the ways out of the pipeline to people and their tools.

What belongs here: configuration, requests, signatures, grading and delivery over HTTP. A caller needs the
names below and no others.
What does not: Dagster, DuckDB, and deciding what is sent, when, or whether again: that is the worker's.
"""

from cavra_pipeline.connectors.config import ConnectorConfigError, Fault, load_connectors
from cavra_pipeline.connectors.connector import Connector
from cavra_pipeline.connectors.deliver import DeliveryOutcome, DeliverySettings, deliver
from cavra_pipeline.connectors.grading import Grade, Verdict
from cavra_pipeline.connectors.notification import Notification, Severity
from cavra_pipeline.connectors.providers import PROVIDERS, grade, prepare
from cavra_pipeline.connectors.secret import Secret

__all__ = [
    "PROVIDERS",
    "Connector",
    "ConnectorConfigError",
    "DeliveryOutcome",
    "DeliverySettings",
    "Fault",
    "Grade",
    "Notification",
    "Secret",
    "Severity",
    "Verdict",
    "deliver",
    "grade",
    "load_connectors",
    "prepare",
]
