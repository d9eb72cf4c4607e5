"""Keyed pseudonyms for texts that are not public-safe (contract section 3, decision 21).

Equal texts have one pseudonym in a home and another in every other home, and a guess can't be checked without the key.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

_DIGITS: Final = 32
_SALT_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """Names for texts that may not be stored.

    Args:
        key: 32 random bytes.
    """

    key: bytes = field(repr=False)

    def of_text(self, text: str) -> str:
        """Returns ``id-`` and 32 hexadecimal digits: HMAC-SHA-256 (RFC 2104) of the text, cut to 128 bits."""
        return f"id-{self._digits(text)}"

    def of_actor(self, label: str) -> str:
        """Returns ``actor-`` and 32 hexadecimal digits, the same for a label in any case and with blanks around it."""
        return f"actor-{self._digits('actor:' + label.strip().lower())}"

    def salt_of(self, name: str) -> bytes:
        """Returns 16 bytes that hide what is hashed under this name. No text has them as its pseudonym."""
        # UTF-8 has no byte 0xFF.
        return hmac.digest(self.key, b"\xff" + name.encode(), "sha256")[:_SALT_BYTES]

    def _digits(self, text: str) -> str:
        return hmac.new(self.key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()[:_DIGITS]


def is_actor_pseudonym(label: str) -> bool:
    """Returns whether a label has the form that ``actor`` gives."""
    return re.fullmatch(rf"actor-[0-9a-f]{{{_DIGITS}}}", label) is not None
