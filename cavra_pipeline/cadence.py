"""Whether a cron expression ever comes. When it comes is decided by Dagster's own evaluator, not here."""

from __future__ import annotations

import re
from typing import Final

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_PART: Final = re.compile(r"(?:\*|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,2}))?")


def never_comes(cron: str) -> bool:
    """Returns whether no month of an expression has a day of it, such as 31 February in ``0 0 31 2 *``.

    An expression that also names days of the week comes on those. One that is not plain is taken to come.
    """
    fields = cron.lower().split()
    if len(fields) != 5 or fields[4] not in ("*", "?"):
        return False
    months = fields[3]
    for number, name in enumerate(_MONTHS, 1):
        months = months.replace(name, str(number))
    of_month, of_year = _values(fields[2], 31), _values(months, 12)
    return bool(of_month and of_year) and all(min(of_month) > _LONGEST[month - 1] for month in of_year)


def _values(field: str, largest: int) -> set[int]:
    """The values from 1 that a field of numbers, ranges, steps and lists names; none if it is written otherwise."""
    values: set[int] = set()
    for part in field.split(","):
        found = _PART.fullmatch(part)
        if found is None:
            return set()
        first, last, step = found.groups()
        until = int(last or (first if first and not step else largest))
        values |= set(range(int(first or 1), min(until, largest) + 1, max(int(step or 1), 1)))
    return values & set(range(1, largest + 1))
