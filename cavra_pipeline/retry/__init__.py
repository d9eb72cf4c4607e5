"""Retries: what of a plan a worker run may send, sending it, acknowledgements. The plan itself is in ``reports``."""
