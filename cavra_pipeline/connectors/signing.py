"""Standard Webhooks signatures, symmetric scheme `v1`.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md,
"Signature scheme" and "Webhook headers".

What belongs here: the three `webhook-` headers and the form of a `whsec_` secret.
What does not: the body that is signed (requests).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from datetime import datetime

from cavra_pipeline.connectors.secret import Secret

SECRET_PREFIX = "whsec_"  # noqa: S105  (it says what follows)
MIN_KEY_BYTES = 24
MAX_KEY_BYTES = 64


def is_signing_secret(secret: Secret) -> bool:
    """Returns whether the secret is `whsec_` and the base64 of 24 to 64 bytes, as the specification asks."""
    text = secret.reveal()
    if not text.startswith(SECRET_PREFIX):
        return False
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        return False
    return MIN_KEY_BYTES <= len(key) <= MAX_KEY_BYTES


def signature_headers(secrets: Sequence[Secret], message_id: str, sent_at: datetime, body: bytes) -> dict[str, str]:
    """Return the headers that let a receiver verify `body`, one signature for each secret in rotation."""
    timestamp = str(int(sent_at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: Secret, signed: bytes) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()
