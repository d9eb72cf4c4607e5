"""How often Python looks for cyclic garbage: seldom, while much is made that lives on or dies without cycles."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SELDOM: Final = 50_000


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Has Python look every 50,000 new objects only: a look goes through all that lives, much with Numba loaded."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
