"""Reads blocks of JSON lines by the declared table, compiled by Numba: values out, or «the reference must judge this».

It takes a strict part of RFC 8259: no escapes, no key twice, every declared value of its type. Whatever else a line
holds makes it *doubtful*, never wrong. No secret is looked for here. Numba keeps machine code by the date of this
file, so nothing that is compiled comes from another: the table is an argument (docs/decisions/0005-ingest-speed.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeVar, cast

import numpy as np
import numpy.typing as npt
from numba import njit
from numba.extending import intrinsic

Array = npt.NDArray[Any]
_Function = TypeVar("_Function")

#: What may stand at a node of the tree of declared keys.
TEXT, LABEL, WHOLE, FLAG, STAMP, TEXTS, WHOLES, OBJECT, OBJECTS = range(9)
#: What is known of a node: the node of the object its key stands in, what may stand at it, the cell or element its
#: value goes to (for a name, its number), a bit for each kind that declares it, where its key stands in keys.
PARENT, TYPE, PLACE, KINDS_OF, KEY_START, KEY_LENGTH = range(6)
#: Nodes: that of a record, and those that kinds and the sources of deliveries stand below, which no record has.
ROOT, KIND_NAMES, SOURCES = range(3)
#: Cells and elements with a meaning, by what ``Grammar.places`` says of them.
(
    SESSION_ID, METADATA_KIND, CREATED_AT, SOURCE, SUCCESS, SUBJECT, MEMBERS, OUTCOMES, PROVIDERS, FAILED, CODES,
    PROVIDERS_LIST, FAILED_LIST, CODES_LIST, FIRST_MEMBER, MEMBER_PROVIDER, MEMBER_STATUS, FIRST_OUTCOME, DELIVERIES,
) = range(19)  # fmt: skip
NONE: Final = -1
#: The bit of a kind that the table does not know: it may have the envelope only.
UNKNOWN_KIND: Final = 62
#: Bytes at the end of a key that its hash is made of; what is found by its hash is compared whole.
HASHED_BYTES: Final = 12

#: What a cell or an element holds where there is no value. No number of a record is as small: 18 digits are the most.
NULL: Final = -(2**63)
#: A text is where it starts in its block, above these bits, and its length.
LENGTH_BITS: Final = 32
LENGTH_MASK: Final = (1 << LENGTH_BITS) - 1
#: What is known of a row beside its cells: its line, how many fields it drops, its record type and lane, or -1.
LINE, DROPPED, RECORD_TYPE, LANE = range(4)

DOUBTFUL: Final = -1
#: Objects inside each other, and keys of one line outside the allowlist, before a line is doubtful.
_MOST_DEEP: Final = 30
_MOST_KEYS: Final = 64
_MOST_DIGITS: Final = 18
_MOST_SESSION_ID: Final = 512
#: Elements of a list that a line may have on average in a block; a line for which there is no room left is doubtful.
_ELEMENTS_A_LINE: Final = 16
_MORE_ELEMENTS: Final = 4096

_QUOTE, _BACKSLASH, _COLON, _COMMA, _MINUS, _PLUS, _DOT = (ord(c) for c in '"\\:,-+.')
_OPEN, _CLOSE, _OPEN_LIST, _CLOSE_LIST, _ZERO, _NINE = (ord(c) for c in "{}[]09")
_TAB, _NEWLINE, _RETURN, _BLANK, _LAST_ASCII = 9, 10, 13, 32, 126
_N, _T, _F, _E, _Z = (ord(c) for c in "ntfeZ")
_UPPER_A, _UPPER_E, _UPPER_T, _UPPER_Z, _UNDERLINE = (ord(c) for c in "AETZ_")
#: Bytes at which a text ends or is more than plain.
_ENDS_TEXT: Final = np.array([byte < _BLANK or byte in (_QUOTE, _BACKSLASH) for byte in range(256)])
#: Eight bytes at once: as numbers that hold a byte eight times, and the topmost bit of each byte.
_EIGHT, _EACH_BYTE, _TOP_BITS = np.uint64(8), np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_BLANKS, _QUOTES, _BACKSLASHES = (_EACH_BYTE * np.uint64(byte) for byte in (_BLANK, _QUOTE, _BACKSLASH))
#: Times a power of 256 its topmost byte is the number of that byte.
_BYTE_NUMBERS = np.uint64(0x0001020304050607)
_FNV_START, _FNV_PRIME, _LOW_BITS = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3), np.uint64(0x7FFFFFFF)
_TENS: Final = 10 ** np.arange(7)
_DAYS: Final = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_SECOND, _MINUTE = 1_000_000, 60_000_000


#: What is remembered of nodes: which came after it last time, and in which object it came last.
_FOLLOWS, _SEEN = range(2)
#: What is remembered of keys outside the allowlist: where they stand, and in which object of which node.
_START, _LENGTH, _NODE, _OWNER = range(4)


class Grammar(NamedTuple):
    """The declared table as arrays (``grammar.py`` makes them).

    Attributes:
        nodes: What is known of each node of the tree of declared keys.
        keys: Every key.
        table: Node numbers by the hash of parent and key, open addressing.
        kinds: The record type and the lane, or -1, of each kind.
        subjects: By record type and lane the cells of which the first that is not empty is the subject, then -1.
        lists: The elements of each cell that holds a list of scalars, or -1.
        places: Which cells and elements have a meaning (``SESSION_ID`` to ``DELIVERIES``).
    """

    nodes: Array
    keys: Array
    table: Array
    kinds: Array
    subjects: Array
    lists: Array
    places: Array


class Part(NamedTuple):
    """What one block brought: its bytes, and how many rows, and elements of each list, there were before it."""

    block: Array
    rows: int
    counts: Array


class LineReader:
    """Reads blocks one after the other into the same memory. One thread at a time may use it.

    Args:
        grammar: The declared table.
        cells, elements: How many there are of each.

    Attributes:
        rows: How many rows there are: one for each line that is not doubtful.
        about: For each row, what is known of it (``LINE`` to ``LANE``).
        cells: For each cell and each row its value, or ``NULL``. Timestamps are microseconds since 1970 in UTC.
        filled: For each cell whether its memory is filled; where it is not, every row has ``NULL``.
        elements: For each list, and each member of a list of objects, the values of all rows, one after the other.
        counts: How many values that is.
        parts: The blocks that were read.
    """

    def __init__(self, grammar: Grammar, cells: int, elements: int) -> None:
        self._grammar = grammar
        self._memory = np.full((2, len(grammar.nodes)), NONE, np.int64)
        #: How many objects there were so far; each has a number that no other has.
        self._objects = np.zeros(1, np.int64)
        self._stack = np.empty((2, _MOST_DEEP), np.int64)
        self._outside = np.empty((4, _MOST_KEYS), np.int64)
        # What a row means is asked of these cells, whether a line has them or not.
        asked = np.concatenate([grammar.places[:PROVIDERS_LIST], grammar.subjects.ravel()])
        self._asked = np.unique(asked[asked != NONE])
        self.filled = np.zeros(cells, bool)
        self.counts = np.zeros(elements, np.int64)
        self.about = np.empty((4, 0), np.int64)
        self.cells, self.elements = np.empty((cells, 0), np.int64), np.empty((elements, 0), np.int64)
        self.parts: list[Part] = []
        self.rows = self._lines = 0

    def begin(self, lines: int) -> None:
        """Forgets what was read and makes room for so many lines."""
        if self.cells.shape[1] < lines:
            self.about = np.empty((4, lines), np.int64)
            self.cells = np.empty((len(self.cells), lines), np.int64)
            self.elements = np.empty((len(self.elements), _MORE_ELEMENTS + _ELEMENTS_A_LINE * lines), np.int64)
        self.cells[self._asked] = NULL
        self.filled[:] = False
        self.filled[self._asked] = True
        self.counts[:] = 0
        self.parts = []
        self.rows = self._lines = 0

    def read(self, block: Array, ends: Array, doubtful: Array) -> None:
        """Reads the lines of one more block.

        Args:
            block: Bytes, valid UTF-8; every line ends with a newline.
            ends: Where each line ends in it, after the newline.
            doubtful: For each line whether it is not to be read; lines that turn out doubtful are marked in it.
        """
        self.parts.append(Part(block, self.rows, self.counts.copy()))
        self.rows = _read(
            block, ends, doubtful, self.rows, self._lines, *self._grammar, self.about, self.cells, self.filled,
            self.elements, self.counts, self._memory, self._objects, self._stack, self._outside,
        )  # fmt: skip
        self._lines += len(ends)

    def end(self) -> None:
        """Lets go of the blocks."""
        self.parts = []


def _compiled(function: _Function) -> _Function:
    """Compiles at the first call; the machine code is kept beside this file, or in the user's cache."""
    try:
        return cast(_Function, njit(cache=True, nogil=True, error_model="numpy", forceinline=True)(function))
    except RuntimeError:
        # There is no folder to keep it in: each process compiles for itself.
        return cast(_Function, njit(nogil=True, error_model="numpy", forceinline=True)(function))


def _lending(_typing: Any, array: Any) -> Any:
    """An array that nobody counts the holders of: Numba would do so, atomically, at every call it is handed on to."""

    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        lent = context.make_array(signature.args[0])(context, builder, values[0])
        lent.meminfo, lent.parent = lent.meminfo.type(None), lent.parent.type(None)
        return lent._getvalue()

    return array(array), code


_lent: Final = cast(Callable[[Array], Array], intrinsic(_lending))


@_compiled
def _eight(b: Array, i: np.uint64) -> np.uint64:
    """Eight bytes as one number, which the compiler makes one load of."""
    word = np.uint64(b[i])
    for k in range(1, 8):
        word |= np.uint64(b[i + np.uint64(k)]) << np.uint64(8 * k)
    return word


@_compiled
def _below(word: np.uint64, limits: np.uint64) -> np.uint64:
    """Marks bytes below a limit: the lowest mark is right, and there is none without such a byte."""
    return (word - limits) & ~word & _TOP_BITS


@_compiled
def _space(b: Array, i: int) -> int:
    """Skips white space, but no newline, and so never leaves the line."""
    while b[i] == _BLANK or b[i] == _TAB or b[i] == _RETURN:
        i += 1
    return i


@_compiled
def _after_colon(b: Array, i: int) -> int:
    """Where a value begins: at a colon, after one blank or none, as the hints look for it; -1 otherwise."""
    if b[i] != _COLON:
        return DOUBTFUL
    return i + 2 if b[i + 1] == _BLANK else i + 1


@_compiled
def _lowest(marks: np.uint64) -> np.uint64:
    """The number of the lowest byte that is marked; there has to be one."""
    return (((marks & (~marks + np.uint64(1))) >> np.uint64(7)) * _BYTE_NUMBERS) >> np.uint64(56)


@_compiled
def _text_end(b: Array, i: int) -> int:
    """The closing quote of a text that begins here; -1 if it has escapes or does not end in this line."""
    at = np.uint64(i)
    while at + _EIGHT <= np.uint64(len(b)):
        word = _eight(b, at)
        marks = _below(word, _BLANKS) | _below(word ^ _QUOTES, _EACH_BYTE) | _below(word ^ _BACKSLASHES, _EACH_BYTE)
        if marks:
            at += _lowest(marks)
            return np.int64(at) if b[at] == _QUOTE else DOUBTFUL
        at += _EIGHT
    while not _ENDS_TEXT[b[at]]:
        at += np.uint64(1)
    return np.int64(at) if b[at] == _QUOTE else DOUBTFUL


@_compiled
def _is_same(b: Array, i: int, other: Array, j: int, length: int) -> bool:
    at, to, end = np.uint64(i), np.uint64(j), np.uint64(i + length)
    # What is compared may be longer than what is left of the block, whose last newline then ends the comparison.
    while at + _EIGHT <= min(end, np.uint64(len(b))):
        if _eight(b, at) != _eight(other, to):
            return False
        at, to = at + _EIGHT, to + _EIGHT
    while at < end:
        if b[at] != other[to]:
            return False
        at, to = at + np.uint64(1), to + np.uint64(1)
    return True


@_compiled
def _find(b: Array, i: int, end: int, parent: int, nodes: Array, keys: Array, table: Array) -> int:
    """The node of a key below a node, or -1."""
    value = _FNV_START ^ np.uint64(parent)
    for k in range(max(i, end - HASHED_BYTES), end):
        value = (value ^ np.uint64(b[k])) * _FNV_PRIME
    place = np.int64(value & _LOW_BITS) & (len(table) - 1)
    while table[place] != NONE:
        node = table[place]
        if (
            nodes[node, PARENT] == parent
            and nodes[node, KEY_LENGTH] == end - i
            and _is_same(b, i, keys, nodes[node, KEY_START], end - i)
        ):
            return node
        place = (place + 1) & (len(table) - 1)
    return NONE


@_compiled
def _digits(b: Array, i: int) -> int:
    while _ZERO <= b[i] <= _NINE:
        i += 1
    return i


@_compiled
def _word(b: Array, i: int) -> int:
    """The end of ``true``, ``false`` or ``null``; -1 if it is none of them."""
    if b[i] == _T:
        return i + 4 if b[i + 1] == ord("r") and b[i + 2] == ord("u") and b[i + 3] == _E else DOUBTFUL
    if b[i] == _N:
        return i + 4 if b[i + 1] == ord("u") and b[i + 2] == ord("l") and b[i + 3] == ord("l") else DOUBTFUL
    if b[i] == _F and b[i + 1] == ord("a") and b[i + 2] == ord("l") and b[i + 3] == ord("s") and b[i + 4] == _E:
        return i + 5
    return DOUBTFUL


@_compiled
def _number_end(b: Array, i: int) -> int:
    """The end of a JSON number (RFC 8259, section 6), or -1."""
    start = i
    i += b[i] == _MINUS
    end = _digits(b, i)
    if end == i or (b[i] == _ZERO and end > i + 1):
        return DOUBTFUL
    i = end
    if b[i] == _DOT:
        end = _digits(b, i + 1)
        if end == i + 1:
            return DOUBTFUL
        i = end
    if b[i] == _E or b[i] == _UPPER_E:
        i += 1
        i += b[i] == _MINUS or b[i] == _PLUS
        end = _digits(b, i)
        if end == i:
            return DOUBTFUL
        i = end
    return i if i - start <= _MOST_DIGITS else DOUBTFUL


@_compiled
def _whole(b: Array, i: int) -> tuple[int, int]:
    """A whole number and its end, which is -1 if it is none, or a long one."""
    is_negative = b[i] == _MINUS
    i += is_negative
    end = _digits(b, i)
    if end == i or end - i > _MOST_DIGITS or (b[i] == _ZERO and end > i + 1):
        return 0, DOUBTFUL
    if b[end] == _DOT or b[end] == _E or b[end] == _UPPER_E:
        return 0, DOUBTFUL
    value = 0
    for k in range(i, end):
        value = 10 * value + (b[k] - _ZERO)
    return -value if is_negative else value, end


@_compiled
def _pair(b: Array, i: int) -> int:
    """A number of two digits; a large one if it is none."""
    tens, ones = np.int64(b[i]) - _ZERO, np.int64(b[i + 1]) - _ZERO
    # Below zero if any of the four is, that is, if one of the two is no digit.
    return 10 * tens + ones if (tens | ones | (9 - tens) | (9 - ones)) >= 0 else 10_000


@_compiled
def _stamp(b: Array, i: int, end: int) -> int:
    """Microseconds of ``2026-06-25T10:00:00[.fraction][offset]`` (ISO 8601), or ``NULL`` for any other form."""
    if end - i < len("2026-06-25T10:00:00"):
        return NULL
    year = 100 * _pair(b, i) + _pair(b, i + 2)
    month, day, hour, minute, second = (
        _pair(b, i + 5), _pair(b, i + 8), _pair(b, i + 11), _pair(b, i + 14), _pair(b, i + 17),
    )  # fmt: skip
    if not (
        b[i + 4] == _MINUS and b[i + 7] == _MINUS and b[i + 13] == _COLON and b[i + 16] == _COLON
        and (b[i + 10] == _UPPER_T or b[i + 10] == _BLANK)
        and 1000 <= year < 3000 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 60
    ):  # fmt: skip
        return NULL
    is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    if not 1 <= day <= _DAYS[month - 1] + (is_leap and month == 2):
        return NULL
    i += 19
    fraction = 0
    if i < end and b[i] == _DOT:
        last = _digits(b, i + 1)
        if last == i + 1 or last > i + 10:
            return NULL
        # Digits past the microsecond are cut.
        cut = min(last, i + 7)
        for k in range(i + 1, cut):
            fraction = 10 * fraction + (b[k] - _ZERO)
        fraction *= _TENS[i + 7 - cut]
        i = last
    offset = 0
    if i < end and b[i] == _Z:
        i += 1
    elif i < end:
        hours, minutes = _pair(b, i + 1), _pair(b, i + 4)
        if end - i != len("+00:00") or b[i + 3] != _COLON or hours > 23 or minutes > 59:
            return NULL
        if b[i] != _PLUS and b[i] != _MINUS:
            return NULL
        offset = (60 * hours + minutes) * (1 if b[i] == _PLUS else -1)
        i += 6
    if i != end:
        return NULL
    # Days since 1970 in the proleptic Gregorian calendar, with years that begin in March.
    year -= month <= 2
    since_march = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + since_march - 719_468
    return (days * 1440 + 60 * hour + minute - offset) * _MINUTE + second * _SECOND + fraction


@_compiled
def _value(b: Array, i: int, type_: int) -> tuple[int, int]:
    """A text, number, boolean or timestamp that is not null, and its end: -1 if it is not of the declared type."""
    if type_ == WHOLE:
        return _whole(b, i)
    if type_ == FLAG:
        return np.int64(b[i] == _T), _word(b, i) if b[i] != _N else DOUBTFUL
    if b[i] != _QUOTE:
        return NULL, DOUBTFUL
    end = _text_end(b, i + 1)
    if end == DOUBTFUL:
        return NULL, DOUBTFUL
    if type_ == STAMP:
        moment = _stamp(b, i + 1, end)
        return moment, DOUBTFUL if moment == NULL else end + 1
    if type_ == LABEL and end == i + 1:
        # An actor's label that is empty counts as none.
        return NULL, end + 1
    return ((i + 1) << LENGTH_BITS) | (end - i - 1), end + 1


@_compiled
def _list(b: Array, i: int, type_: int, room: Array, count: int) -> tuple[int, int]:
    """A list of text, or of whole numbers and null, from its bracket on: how many elements, and its end or -1."""
    first = count
    i = _space(b, i + 1)
    if b[i] == _CLOSE_LIST:
        return 0, i + 1
    while True:
        if count == len(room):
            return 0, DOUBTFUL
        if type_ == WHOLES and b[i] == _N:
            value, i = NULL, _word(b, i)
        else:
            value, i = _value(b, i, WHOLE if type_ == WHOLES else TEXTS)
        if i == DOUBTFUL:
            return 0, DOUBTFUL
        room[count] = value
        count += 1
        i = _space(b, i)
        if b[i] == _CLOSE_LIST:
            return count - first, i + 1
        if b[i] != _COMMA:
            return 0, DOUBTFUL
        i = _space(b, i + 1)


@_compiled
def _skip(b: Array, i: int) -> int:
    """The end of a value that is not kept; -1 if it is no JSON, has a key twice, or is out of the ordinary."""
    return _skip_nested(b, i) if b[i] == _OPEN or b[i] == _OPEN_LIST else _skip_scalar(b, i)


@_compiled
def _skip_nested(b: Array, i: int) -> int:
    depth, keys, objects = 0, 0, 0
    owners = np.empty(_MOST_DEEP, np.int64)
    outside = np.empty((4, _MOST_KEYS), np.int64)
    while True:
        is_open = False
        if b[i] == _OPEN or b[i] == _OPEN_LIST:
            if depth == _MOST_DEEP:
                return DOUBTFUL
            objects += 1
            owners[depth] = objects if b[i] == _OPEN else NONE
            depth += 1
            i = _space(b, i + 1)
            is_open = b[i] != (_CLOSE_LIST if owners[depth - 1] == NONE else _CLOSE)
        else:
            i = _skip_scalar(b, i)
            if i == DOUBTFUL:
                return DOUBTFUL
        while not is_open:
            if depth == 0:
                return i
            i = _space(b, i)
            if b[i] == _COMMA:
                i = _space(b, i + 1)
                is_open = True
            elif b[i] == (_CLOSE_LIST if owners[depth - 1] == NONE else _CLOSE):
                i += 1
                depth -= 1
            else:
                return DOUBTFUL
        if owners[depth - 1] != NONE:
            if b[i] != _QUOTE:
                return DOUBTFUL
            end = _text_end(b, i + 1)
            if end == DOUBTFUL or _note(b, i + 1, end, ROOT, owners[depth - 1], keys, outside) == DOUBTFUL:
                return DOUBTFUL
            keys += 1
            i = _after_colon(b, end + 1)
            if i == DOUBTFUL:
                return DOUBTFUL


@_compiled
def _skip_scalar(b: Array, i: int) -> int:
    if b[i] == _QUOTE:
        end = _text_end(b, i + 1)
        return DOUBTFUL if end == DOUBTFUL else end + 1
    return _word(b, i) if b[i] > _NINE else _number_end(b, i)


@_compiled
def _note(b: Array, i: int, end: int, node: int, owner: int, keys: int, outside: Array) -> int:
    """Notes a key outside the allowlist: 1 if its path is new in this line, else 0; -1 if it came in this object."""
    if keys == _MOST_KEYS:
        return DOUBTFUL
    is_new = 1
    for k in range(keys):
        if (
            outside[_NODE, k] == node
            and outside[_LENGTH, k] == end - i
            and _is_same(b, outside[_START, k], b, i, end - i)
        ):
            if outside[_OWNER, k] == owner:
                return DOUBTFUL
            is_new = 0
    outside[_START, keys], outside[_LENGTH, keys], outside[_NODE, keys], outside[_OWNER, keys] = i, end - i, node, owner
    return is_new


@_compiled
def _has_mark(b: Array, i: int, end: int) -> bool:
    """Whether a key could look like another in the reference's dotted paths."""
    for k in range(i, end):
        if b[k] == _DOT or b[k] == _OPEN_LIST:
            return True
    return False


@_compiled
def _read(b: Array, ends: Array, doubtful: Array, row: int, lines: int, nodes: Array, keys: Array, table: Array,
          kinds: Array, subjects: Array, lists: Array, places: Array, about: Array, cells: Array, filled: Array,
          elements: Array, counts: Array, memory: Array, objects: Array, stack: Array, outside: Array,
          ) -> int:  # fmt: skip
    """Reads every line that is not doubtful; returns the number of rows there are then."""
    return _read_lines(
        _lent(b), ends, doubtful, row, lines, _lent(nodes), _lent(keys), _lent(table), _lent(kinds), _lent(subjects),
        _lent(lists), _lent(places), _lent(about), _lent(cells), _lent(filled), _lent(elements), _lent(counts),
        _lent(memory), _lent(objects), _lent(stack), _lent(outside),
    )  # fmt: skip


@_compiled
def _read_lines(b: Array, ends: Array, doubtful: Array, row: int, lines: int, nodes: Array, keys: Array, table: Array,
                kinds: Array, subjects: Array, lists: Array, places: Array, about: Array, cells: Array, filled: Array,
                elements: Array, counts: Array, memory: Array, objects: Array, stack: Array, outside: Array,
          ) -> int:  # fmt: skip
    start = 0
    held = counts.copy()
    for line in range(len(ends)):
        if not doubtful[line]:
            dropped = _record(
                b,
                start,
                row,
                nodes,
                keys,
                table,
                lists,
                places,
                cells,
                filled,
                elements,
                counts,
                memory,
                objects,
                stack,
                outside,
            )
            if dropped != DOUBTFUL and not _mean(
                b, row, nodes, keys, table, kinds, subjects, places, about, cells, elements, counts
            ):
                dropped = DOUBTFUL
            if dropped == DOUBTFUL:
                doubtful[line] = True
                counts[:] = held
                _forget(cells, filled, row)
            else:
                held[:] = counts
                about[LINE, row], about[DROPPED, row] = lines + line, dropped
                row += 1
        start = ends[line]
    return row


@_compiled
def _record(b: Array, i: int, row: int, nodes: Array, keys: Array, table: Array, lists: Array, places: Array,
            cells: Array, filled: Array, elements: Array, counts: Array, memory: Array, objects: Array, stack: Array,
            outside: Array) -> int:  # fmt: skip
    """Reads one line into a row; returns how many fields it drops, or -1 if it is doubtful."""
    if b[i] != _OPEN:
        return DOUBTFUL
    depth, node, previous, others, dropped = 0, ROOT, ROOT, 0, 0
    objects[0] += 1
    owner = objects[0]
    kinds = np.int64(-1)
    is_member = False
    i = _space(b, i + 1)
    while True:
        # A key: most often the one that came next last time.
        if b[i] != _QUOTE:
            return DOUBTFUL
        i += 1
        child, end = memory[_FOLLOWS, previous], DOUBTFUL
        if (
            child != NONE and nodes[child, PARENT] == node
            and _is_same(b, i, keys, nodes[child, KEY_START], nodes[child, KEY_LENGTH])
            and b[i + nodes[child, KEY_LENGTH]] == _QUOTE
        ):  # fmt: skip
            end = i + nodes[child, KEY_LENGTH]
        else:
            end = _text_end(b, i)
            if end == DOUBTFUL:
                return DOUBTFUL
            child = _find(b, i, end, node, nodes, keys, table)
            if child != NONE:
                memory[_FOLLOWS, previous] = child
        key, i = i, _after_colon(b, end + 1)
        if i == DOUBTFUL:
            return DOUBTFUL
        is_open = False
        if child == NONE:
            is_new = _note(b, key, end, node, owner, others, outside)
            if is_new == DOUBTFUL or _has_mark(b, key, end):
                return DOUBTFUL
            others += 1
            dropped += is_new
            i = _skip(b, i)
        else:
            if memory[_SEEN, child] == owner:
                return DOUBTFUL
            memory[_SEEN, child], previous = owner, child
            kinds &= nodes[child, KINDS_OF]
            type_, place = nodes[child, TYPE], nodes[child, PLACE]
            if b[i] == _N:
                i = _word(b, i)
            elif type_ < TEXTS:
                value, i = _value(b, i, type_)
                if is_member:
                    elements[place, counts[places[FIRST_MEMBER]] - 1] = value
                else:
                    _keep(cells, filled, place, row, value)
            elif type_ < OBJECT:
                if b[i] != _OPEN_LIST:
                    return DOUBTFUL
                room = lists[place]
                count, i = _list(b, i, type_, elements[room], counts[room])
                _keep(cells, filled, place, row, count)
                counts[room] += count
            else:
                is_member = type_ == OBJECTS
                if b[i] != (_OPEN_LIST if is_member else _OPEN) or depth == _MOST_DEEP:
                    return DOUBTFUL
                i = _space(b, i + 1)
                if is_member:
                    cells[place, row] = 0
                if is_member and b[i] == _CLOSE_LIST:
                    i += 1
                    is_member = False
                else:
                    stack[0, depth], stack[1, depth] = node, owner
                    depth += 1
                    node = child
                    if is_member:
                        if b[i] != _OPEN or not _new_member(row, places, cells, elements, counts):
                            return DOUBTFUL
                        i = _space(b, i + 1)
                    objects[0] += 1
                    owner = objects[0]
                    is_open = b[i] != _CLOSE
        if i == DOUBTFUL:
            return DOUBTFUL
        # After a value: the next key, or the ends of objects until there is one.
        while not is_open:
            i = _space(b, i)
            if b[i] == _COMMA:
                i = _space(b, i + 1)
                is_open = True
            elif b[i] != _CLOSE:
                return DOUBTFUL
            elif depth == 0:
                is_whole = b[_space(b, i + 1)] == _NEWLINE and _fits(b, row, kinds, nodes, keys, table, places, cells)
                return dropped if is_whole else DOUBTFUL
            else:
                i = _space(b, i + 1)
                if is_member:
                    if b[i] == _COMMA:
                        i = _space(b, i + 1)
                        if b[i] != _OPEN or not _new_member(row, places, cells, elements, counts):
                            return DOUBTFUL
                        objects[0] += 1
                        owner = objects[0]
                        i = _space(b, i + 1)
                        is_open = b[i] != _CLOSE
                        continue
                    if b[i] != _CLOSE_LIST:
                        return DOUBTFUL
                    i += 1
                    is_member = False
                depth -= 1
                node, owner = stack[0, depth], stack[1, depth]


@_compiled
def _keep(cells: Array, filled: Array, place: int, row: int, value: int) -> None:
    """Writes a cell. Its memory is filled at the first: most columns are empty in most evidence."""
    if not filled[place]:
        cells[place] = NULL
        filled[place] = True
    cells[place, row] = value


@_compiled
def _forget(cells: Array, filled: Array, row: int) -> None:
    for place in range(len(filled)):
        if filled[place]:
            cells[place, row] = NULL


@_compiled
def _new_member(row: int, places: Array, cells: Array, elements: Array, counts: Array) -> bool:
    """Makes room for one more object of the list; False if there is none."""
    first = places[FIRST_MEMBER]
    member = counts[first]
    if member == elements.shape[1]:
        return False
    for place in range(first, places[FIRST_OUTCOME]):
        elements[place, member] = NULL
    counts[first] += 1
    cells[places[MEMBERS], row] += 1
    return True


@_compiled
def _fits(b: Array, row: int, kinds: int, nodes: Array, keys: Array, table: Array, places: Array, cells: Array) -> bool:
    """Whether the required fields are there and plain, and every field is one that its kind declares."""
    for column in (SESSION_ID, METADATA_KIND):
        text = cells[places[column], row]
        length = text & LENGTH_MASK
        if text == NULL or not (0 < length <= _MOST_SESSION_ID and _BLANK < b[text >> LENGTH_BITS] <= _LAST_ASCII):
            return False
    if cells[places[CREATED_AT], row] == NULL:
        return False
    kind = _named(b, cells[places[METADATA_KIND], row], KIND_NAMES, nodes, keys, table)
    return (kinds >> (UNKNOWN_KIND if kind == NONE else kind)) & 1 == 1


@_compiled
def _named(b: Array, text: int, parent: int, nodes: Array, keys: Array, table: Array) -> int:
    """The number of the kind or source that a text names, or -1."""
    start = text >> LENGTH_BITS
    node = NONE if text == NULL else _find(b, start, start + (text & LENGTH_MASK), parent, nodes, keys, table)
    return NONE if node == NONE else nodes[node, PLACE]


@_compiled
def _mean(b: Array, row: int, nodes: Array, keys: Array, table: Array, kinds: Array, subjects: Array, places: Array,
          about: Array, cells: Array, elements: Array, counts: Array) -> bool:  # fmt: skip
    """Says what a row means, as ``meaning.py`` does; False where only that may."""
    kind = _named(b, cells[places[METADATA_KIND], row], KIND_NAMES, nodes, keys, table)
    about[RECORD_TYPE, row] = about[LANE, row] = NONE
    if kind == NONE:
        return True
    type_, lane = kinds[kind, 0], kinds[kind, 1]
    if type_ == places[DELIVERIES]:
        lane = _named(b, cells[places[SOURCE], row], SOURCES, nodes, keys, table)
    about[RECORD_TYPE, row], about[LANE, row] = type_, lane
    if lane != NONE:
        for place in subjects[type_, lane]:
            if place != NONE and cells[place, row] != NULL and cells[place, row] & LENGTH_MASK > 0:
                cells[places[SUBJECT], row] = cells[place, row]
                break
    return type_ != places[DELIVERIES] or _outcomes(b, row, places, cells, elements, counts)


@_compiled
def _trimmed(b: Array, text: int) -> int:
    """A provider's name without the blanks around it; -1 if it is not ASCII, whose lower case takes more to know."""
    start, length = text >> LENGTH_BITS, text & LENGTH_MASK
    for k in range(start, start + length):
        if b[k] > _LAST_ASCII:
            return DOUBTFUL
    while length > 0 and b[start] == _BLANK:
        start, length = start + 1, length - 1
    while length > 0 and b[start + length - 1] == _BLANK:
        length -= 1
    return (start << LENGTH_BITS) | length


@_compiled
def _letter(letter: int) -> int:
    if _UPPER_A <= letter <= _UPPER_Z:
        return letter + 32
    return _UNDERLINE if letter == _MINUS else letter


@_compiled
def _is_same_name(b: Array, one: int, other: int) -> bool:
    """Whether two trimmed names are the same but for their case and - for _."""
    if one & LENGTH_MASK != other & LENGTH_MASK:
        return False
    i, j = one >> LENGTH_BITS, other >> LENGTH_BITS
    for k in range(one & LENGTH_MASK):
        if _letter(b[i + k]) != _letter(b[j + k]):
            return False
    return True


@_compiled
def _place_of(b: Array, name: int, texts: Array) -> int:
    """Where a name stands first among texts, empty ones not counted; -1 if nowhere."""
    place = 0
    for text in texts:
        other = _trimmed(b, text)
        if other & LENGTH_MASK > 0:
            if _is_same_name(b, name, other):
                return place
            place += 1
    return NONE


@_compiled
def _elements(row: int, cell: int, list_: int, places: Array, cells: Array, elements: Array, counts: Array) -> Array:
    """The elements of the newest row's list; none if it has no list."""
    last = counts[places[list_]]
    return elements[places[list_], last - max(cells[places[cell], row], 0) : last]


@_compiled
def _outcomes(b: Array, row: int, places: Array, cells: Array, elements: Array, counts: Array) -> bool:
    """One outcome for each provider that is named, as ``meaning.py`` has it; False where only that may say it."""
    providers = _elements(row, PROVIDERS, PROVIDERS_LIST, places, cells, elements, counts)
    failed = _elements(row, FAILED, FAILED_LIST, places, cells, elements, counts)
    codes = _elements(row, CODES, CODES_LIST, places, cells, elements, counts)
    members, made = places[FIRST_MEMBER], places[FIRST_OUTCOME]
    first_member, first = counts[members] - max(cells[places[MEMBERS], row], 0), counts[made]
    if first + len(providers) + len(failed) > elements.shape[1]:
        return False
    went_through, has_failed = 0, False
    for is_failure in (False, True):
        for text in failed if is_failure else providers:
            name = _trimmed(b, text)
            if name == DOUBTFUL:
                return False
            if name & LENGTH_MASK == 0:
                continue
            if is_failure:
                has_failed = True
            else:
                went_through += 1
            if _place_of(b, name, elements[made, first : counts[made]]) == NONE:
                elements[made, counts[made]] = name
                counts[made] += 1
    for outcome in range(first, counts[made]):
        name = elements[made, outcome]
        is_failed = _place_of(b, name, failed) != NONE if has_failed else cells[places[SUCCESS], row] != 1
        elements[made + 1, outcome], elements[made + 2, outcome] = is_failed, NULL
        if cells[places[CODES], row] == went_through:
            # A name that stands twice has the status of its first place.
            place = _place_of(b, name, providers)
            if place != NONE:
                elements[made + 2, outcome] = codes[place]
        for member in range(counts[members] - 1, first_member - 1, -1):
            text = elements[places[MEMBER_PROVIDER], member]
            if text == NULL:
                continue
            other = _trimmed(b, text)
            if other == DOUBTFUL:
                return False
            if _is_same_name(b, name, other):
                if elements[places[MEMBER_STATUS], member] != NULL:
                    elements[made + 2, outcome] = elements[places[MEMBER_STATUS], member]
                break
    cells[places[OUTCOMES], row] = counts[made] - first
    return True


class Texts(NamedTuple):
    """Texts that cells point to, to be copied.

    Attributes:
        cells: Texts as places in a block.
        firsts: The number of the first cell of each block.
        ends: Where each text ends, from a first 0 on.
        data: Room for their bytes, one after the other.
    """

    cells: Array
    firsts: Sequence[int]
    ends: Array
    data: Array


def texts_of(cells: Array, firsts: Sequence[int]) -> Texts:
    """Makes room for the texts that cells point to."""
    ends = ends_of(cells)
    return Texts(cells, firsts, ends, np.empty(ends[-1], np.uint8))


def ends_of(cells: Array) -> Array:
    """Where the text that each cell points to ends if they follow one another, or the list whose elements it counts."""
    ends = np.empty(len(cells) + 1, np.int32)
    _ends(cells, ends)
    return ends


def copy(texts: Sequence[Texts], blocks: Sequence[Array]) -> None:
    """Copies texts: all of a block before the next, as it comes from far away only once."""
    for number, block in enumerate(blocks):
        for cells, firsts, ends, data in texts:
            first, last = firsts[number], firsts[number + 1] if number + 1 < len(firsts) else len(cells)
            _copy(block, cells[first:last], data[ends[first] :])


@_compiled
def _ends(cells: Array, ends: Array) -> None:
    total = 0
    ends[0] = 0
    for row in range(len(cells)):
        if cells[row] != NULL:
            total += cells[row] & LENGTH_MASK
        ends[row + 1] = total


@_compiled
def _copy(block: Array, cells: Array, data: Array) -> None:
    # Unsigned places need no check for a negative index, so that the inner loop becomes a copy of many bytes at once.
    to = np.uint64(0)
    for row in range(len(cells)):
        if cells[row] != NULL:
            start, length = np.uint64(cells[row] >> LENGTH_BITS), np.uint64(cells[row] & LENGTH_MASK)
            for k in range(length):
                data[to + k] = block[start + k]
            to += length
