"""CAVRA's ``GET /evidence`` page by page: whole records, in memory only, on their way to the boundary.

CAVRA has no cursor and no "since". Its SQLite store answers newest first, by the text of ``created_at``; its JSON store
by ``session_id``. What was inserted or moved while a walk goes on is found by a later one.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import msgspec

from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.transport import Limits, ProviderResponse, Route, Unanswered, exchange
from cavra_pipeline.errors import PipelineError, TransientError
from cavra_pipeline.evidence.lines import LineBatch
from cavra_pipeline.evidence.stores import record_batches

#: The most that CAVRA gives in one page; a page that is too large is asked for again in parts.
PAGE_RECORDS: Final = 500
_PARTS: Final = 5
_LIMITS: Final = Limits(connect=10.0, write=10.0, read=60.0, body_bytes=64 * 1024 * 1024)
_TRIES: Final = 2
_WHOLE_PAGE: Final = 1 << 62
#: A time as text down to its UTC offset, which alone is left of it.
_OFFSET: Final = re.compile(r".*?(Z|z|[+-][0-9:]{2,9}|)$", re.DOTALL)
_SERVER_ERRORS: Final = 500

#: Tells of a batch whether every record in it came before in the same version.
AllKnown = Callable[[LineBatch], bool]


class _Page(msgspec.Struct):
    """What CAVRA answers, as far as it is needed."""

    items: list[msgspec.Raw]
    total: int


class _Key(msgspec.Struct):
    """What a page is ordered by."""

    session_id: str
    created_at: str


@dataclass(slots=True)
class Walk:
    """One walk over the pages of an API.

    Args:
        url: Base address.
        headers: Secret headers.
        route: How the address is reached.
        monotonic: Measures the phases of a request.
        may_stop_early: Whether a page of known records ends the walk, where the order is newest first.

    Attributes:
        is_full: Whether it reached the last page.
        request_count: Requests it made.
    """

    url: str
    headers: Mapping[str, Secret]
    route: Route
    monotonic: Callable[[], float]
    may_stop_early: bool = False
    is_full: bool = False
    request_count: int = 0
    _limit: int = PAGE_RECORDS
    _seen: set[bytes] = field(default_factory=set)
    _offsets: set[str] = field(default_factory=set)
    _is_newest_first: bool = True

    def batches(self, are_known: AllKnown) -> Iterator[LineBatch]:
        """Yields the records of each page as lines, each record of the walk once.

        Args:
            are_known: Tells of a batch whether all of it came before.

        Raises:
            TransientError: The API does not answer, or answers with a server error.
            PipelineError: It refuses the request, or its answer is none of CAVRA's.
        """
        offset = line_number = 0
        while not self.is_full:
            page = self._page(offset)
            self._watch_order(page.items)
            batch = self._batch([bytes(item) for item in page.items], line_number)
            if self.may_stop_early and self._is_newest_first and batch.received_count and are_known(batch):
                return
            yield batch
            line_number += len(page.items)
            offset += len(page.items)
            self.is_full = offset >= page.total
            if not page.items and not self.is_full:
                raise self._refusal(
                    "it answered a page without records before the last one", "Check what answers there"
                )

    def _batch(self, items: list[bytes], line_number: int) -> LineBatch:
        """Returns the records of a page; those that an earlier page of the walk gave already are left out."""
        by_digest = {hashlib.blake2b(item, digest_size=16).digest(): item for item in items}
        fresh = [item for digest, item in by_digest.items() if digest not in self._seen]
        self._seen |= by_digest.keys()
        (batch,) = record_batches(iter(fresh), batch_bytes=_WHOLE_PAGE, first=line_number + 1)
        return batch

    def _watch_order(self, items: list[msgspec.Raw]) -> None:
        """Notes whether the pages so far can be those of an SQLite store: newest first, all with one UTC offset."""
        try:
            keys = [msgspec.json.decode(item, type=_Key) for item in items]
        except (msgspec.DecodeError, RecursionError):
            self._is_newest_first = False
            return
        self._offsets |= {_OFFSET.sub(r"\1", key.created_at) for key in keys}
        pairs = list(pairwise(keys))
        # A JSON store whose ids happen to run backwards in time must not be taken for an SQLite store.
        is_by_id = all(key.session_id < other.session_id for key, other in pairs)
        self._is_newest_first &= not is_by_id and len(self._offsets) == 1
        self._is_newest_first &= all(
            (other.created_at, key.session_id) < (key.created_at, other.session_id) for key, other in pairs
        )

    def _page(self, offset: int) -> _Page:
        while True:
            answer = self._answer(f"{self.url}/evidence?limit={self._limit}&offset={offset}")
            if answer.status != 200:
                raise self._refused(answer.status)
            if answer.body is not None:
                return self._read(answer.body)
            if self._limit == 1:
                raise self._refusal(
                    f"a record is over {_LIMITS.body_bytes // 1024 // 1024} MiB, or the answer did not arrive whole",
                    "Check the connection; import the record's store from a file",
                )
            self._limit = max(self._limit // _PARTS, 1)

    def _answer(self, url: str) -> ProviderResponse:
        headers = {
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": "cavra-pipeline",
            **{name: secret.reveal() for name, secret in self.headers.items()},
        }
        for tries_left in reversed(range(_TRIES)):
            self.request_count += 1
            try:
                answer = exchange(
                    self.route, "GET", Secret(url), headers, b"", limits=_LIMITS, monotonic=self.monotonic
                )
            except Unanswered as error:
                if not tries_left:
                    raise self._unanswered(error.reason) from None
                continue
            if answer.status < _SERVER_ERRORS or not tries_left:
                return answer
        raise AssertionError

    def _read(self, body: bytes) -> _Page:
        try:
            return msgspec.json.decode(body, type=_Page)
        except (msgspec.DecodeError, RecursionError):
            raise self._refusal(
                "its answer is not that of CAVRA's GET /evidence", "Name CAVRA's base address, without /evidence"
            ) from None

    def _unanswered(self, reason: str) -> TransientError:
        return TransientError(
            f"the API does not answer ({reason})",
            where=self.url,
            remedy="Check that CAVRA runs and the address is right; the next pull tries again",
        )

    def _refused(self, status: int) -> PipelineError:
        if status in (401, 403):
            return self._refusal(
                f"the API rejects our credentials ({status})", "Check header, header_env or header_file"
            )
        if 300 <= status < 400:
            return self._refusal(f"the API answers with a redirect ({status})", "Name the address that it leads to")
        if status >= _SERVER_ERRORS or status in (408, 429):
            return TransientError(
                f"the API returns an error ({status})", where=self.url, remedy="See its log; the next pull tries again"
            )
        return self._refusal(
            f"the API refuses GET /evidence ({status})", "Name CAVRA's base address, without /evidence"
        )

    def _refusal(self, what: str, remedy: str) -> PipelineError:
        return PipelineError(what, where=self.url, remedy=remedy)
