"""Shared parts of the endpoints: the read copy, cached answers, saved evidence, reports to Dagster."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any, Final, Protocol

import sqlalchemy as sa
from pydantic import BaseModel
from starlette.responses import Response

from cavra_pipeline.api.access import TokenFile
from cavra_pipeline.api.keeper import EvidenceWriter
from cavra_pipeline.api.problems import HttpProblem, not_now
from cavra_pipeline.documents import parse_as_of, pretty_json
from cavra_pipeline.errors import TransientError
from cavra_pipeline.evidence.keeper import warehouse_of
from cavra_pipeline.reports.store import Report
from cavra_pipeline.settings import Settings
from cavra_pipeline.state import state_of
from cavra_pipeline.warehouse import Session
from cavra_pipeline.warehouse.read_copy import CopyState
from cavra_pipeline.warehouse.reads import reads_of

#: The same question gets the same answer for so many times what it took to make, within these bounds, so that many
#: who ask at once never cost more than a part of the machine. A newer copy ends it.
_SAME_TIMES: Final = 5.0
_SAME_SECONDS: Final = (1.0, 10.0)
#: While its successor is being made an answer is given up to this age.
_OLDEST_SECONDS: Final = 15.0
_MOST_ANSWERS: Final = 500
#: How long a question waits for its turn, and how long it may take, before it is refused.
_TURN_SECONDS: Final = 15.0
_QUESTION_SECONDS: Final = 20.0
_WRITE_SECONDS: Final = 20.0
#: Requests that may send at once: each holds one of the threads that answer, for as long as its providers take.
_MOST_SENDING: Final = 4
#: Requests that may make a proof at once: each holds the records of a lane in memory.
_MOST_PROVING: Final = 2


class Dagster(Protocol):
    """Interface to Dagster that the service needs; the composition root provides it."""

    def report(self, report: Report) -> None:
        """Queues a runless materialization event for the report."""

    def launch_refresh(self, days: Sequence[date]) -> str:
        """Starts a run that ingests and makes every report of the days; returns its id."""

    def run_status(self, run_id: str) -> dict[str, Any] | None:
        """Returns the status and the days of a refresh, or None where there is none of that id."""

    def state(self) -> dict[str, Any]:
        """Returns counts for the service's own status."""

    def close(self) -> None:
        """Reports what is still queued, then stops."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A document as it is sent, the copy it was made from, when it was made and the seconds that took."""

    body: bytes
    media_type: str
    state: CopyState | None
    made_at: float
    cost: float = 0.0
    #: The model that it has been checked against.
    passed: list[type[BaseModel]] = field(default_factory=list)

    def checked(self, model: type[BaseModel]) -> Answer:
        """Returns the answer itself, checked against its model once however often it is given.

        Raises:
            ValidationError: The answer is not what OpenAPI declares.
        """
        if not self.passed:
            model.model_validate_json(self.body)
            self.passed.append(model)
        return self

    def response(self, status: int = 200, **headers: str) -> Response:
        """The answer as HTTP."""
        if self.state:
            headers["Cavra-Evidence-Copied-At"] = self.state.copied_at.isoformat()
            headers["Cavra-Evidence-Is-Behind"] = "true" if self.state.is_behind else "false"
        return Response(self.body, status, headers=headers, media_type=self.media_type)


class Service:
    """One home, served. Safe for many threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        clock: Callable[[], datetime],
        dagster: Dagster,
        tokens: TokenFile | None,
    ) -> None:
        """Makes the first copy of the warehouse.

        Raises:
            PipelineError: The warehouse can't be read.
        """
        self.settings, self.clock, self.dagster, self.tokens = settings, clock, dagster, tokens
        self.copy = reads_of(warehouse_of(settings), clock)
        self.keeper = EvidenceWriter(settings, clock)
        self._turns = threading.BoundedSemaphore(settings.threads or os.cpu_count() or 1)
        self._sending = threading.BoundedSemaphore(_MOST_SENDING)
        self._proving = threading.BoundedSemaphore(_MOST_PROVING)
        self._answers: OrderedDict[str, Future[Answer]] = OrderedDict()
        self._before: dict[str, Answer | None] = {}
        self._lock = threading.Lock()

    @property
    def writing_settings(self) -> Settings:
        """The home for an endpoint that writes: it waits for a run no longer than a person would."""
        return self.settings.but(busy_wait_seconds=min(self.settings.busy_wait_seconds, _WRITE_SECONDS))

    def close(self) -> None:
        """Ends what works in the background; what waits is finished first."""
        self.keeper.close()
        self.dagster.close()
        self.copy.close()

    @contextmanager
    def reading(self) -> Iterator[tuple[Session, CopyState]]:
        """Yields a read session; limits concurrency and query time.

        Raises:
            HttpProblem: Too many ask at once.
        """
        # Before its turn: a question that waits for a newer copy must not keep others from theirs.
        self.copy.wait_for_newer()
        if not self._turns.acquire(timeout=_TURN_SECONDS):
            raise HttpProblem(
                503, "Too many questions are being answered. Repeat in a moment.", headers={"Retry-After": "5"}
            )
        try:
            with self.copy.reading() as (session, state):
                alarm = threading.Timer(_QUESTION_SECONDS, session.interrupt)
                alarm.daemon = True
                alarm.start()
                try:
                    yield session, state
                finally:
                    alarm.cancel()
        finally:
            self._turns.release()

    @contextmanager
    def proving(self) -> Iterator[AbstractContextManager[Session]]:
        """Admits a request that makes a proof and yields what opens the copy; others may read before the proof is made.

        Raises:
            HttpProblem: Too many requests make one.
        """
        if not self._proving.acquire(blocking=False):
            raise HttpProblem(503, "Too many proofs are being made. Repeat in a moment.", headers={"Retry-After": "15"})
        try:
            yield self._session()
        finally:
            self._proving.release()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        with self.reading() as (session, _):
            yield session

    @contextmanager
    def sending(self) -> Iterator[Settings]:
        """Admits a request that sends and yields the home's settings; readers do not wait for it.

        Raises:
            HttpProblem: Too many requests are sending, or something they need is busy.
        """
        if not self._sending.acquire(blocking=False):
            raise HttpProblem(503, "Too many requests are sending. Repeat in a moment.", headers={"Retry-After": "15"})
        try:
            yield self.writing_settings
        except TransientError as error:
            raise not_now(error, "What has been sent is not sent again.") from None
        finally:
            self._sending.release()
            self.written()

    def once(self, question: Sequence[object], make: Callable[[], tuple[Any, CopyState | None]]) -> Answer:
        """Answers a question, or returns the cached answer to the same question if it is recent."""
        key = repr(question)
        new_answer: Future[Answer] = Future()
        with self._lock:
            cached_answer = self._answers.get(key)
            is_ours = cached_answer is None or not self._is_good(cached_answer)
            if is_ours and (recent_answer := self._recent_answer(cached_answer)):
                return recent_answer
            if is_ours:
                self._before[key] = cached_answer.result() if cached_answer and not cached_answer.exception() else None
                self._answers[key] = new_answer
                self._answers.move_to_end(key)
                while len(self._answers) > _MOST_ANSWERS:
                    self._before.pop(self._answers.popitem(last=False)[0], None)
            before = self._before.get(key)
        if cached_answer is not None and not is_ours:
            # Somebody makes it again: no one else waits for that where there is one that is not old.
            if before is not None and not cached_answer.done() and _age(before) < _OLDEST_SECONDS:
                return before
            return cached_answer.result(timeout=2 * (_TURN_SECONDS + _QUESTION_SECONDS))
        started = time.monotonic()
        try:
            document, state = make()
            answer = replace(json_answer(document, state), cost=time.monotonic() - started)
        except BaseException as error:
            with self._lock:
                if self._answers.get(key) is new_answer:
                    del self._answers[key]
                    self._before.pop(key, None)
            new_answer.set_exception(error)
            raise
        new_answer.set_result(answer)
        with self._lock:
            if self._answers.get(key) is new_answer:
                self._before[key] = None
        return answer

    def _is_good(self, cached: Future[Answer]) -> bool:
        if not cached.done():
            return True
        if cached.exception() is not None:
            return False
        answer = cached.result()
        age, least_most = _age(answer), _SAME_SECONDS
        if answer.state is not None and not self.copy.is_current(answer.state.generation):
            return False
        return age < min(max(_SAME_TIMES * answer.cost, least_most[0]), least_most[1])

    def _recent_answer(self, cached: Future[Answer] | None) -> Answer | None:
        """Returns the cached answer if it is recent and no turn is free to make it again."""
        if cached is None or cached.exception() is not None or _age(cached.result()) >= _SAME_SECONDS[1]:
            return None
        if self._turns.acquire(blocking=False):
            self._turns.release()
            return None
        return cached.result()

    def ask(self, question: Sequence[object], make: Callable[[Session], Any]) -> Answer:
        """Answers a question from the copy alone."""

        def read() -> tuple[Any, CopyState]:
            with self.reading() as (session, state):
                return make(session), state

        return self.once(question, read)

    def ask_as_of(
        self,
        question: Sequence[object],
        as_of: str | None,
        make: Callable[[Session, datetime, datetime], Any],
        finish: Callable[[Any, datetime, datetime], Any] | None = None,
    ) -> Answer:
        """Answers a question as of an instant; one that can't be read is refused before the copy is opened.

        Args:
            question: The question beside its instant.
            as_of: The instant as the request gives it; None for now.
            make: Makes the document from the copy, the instant and now.
            finish: Makes the answer of the document, the instant and now, once the copy is free for others.
        """
        self.instants(as_of)

        def read() -> tuple[Any, CopyState]:
            with self.reading() as (session, state):
                now, at = self.instants(as_of)
                document = make(session, at, now)
            return finish(document, at, now) if finish else document, state

        return self.once((*question, as_of), read)

    def ask_state(self, question: Sequence[object], make: Callable[[sa.Connection], Any]) -> Answer:
        """Answers a question from the state database alone, whatever has become of the warehouse."""

        def read() -> tuple[Any, None]:
            with state_of(self.settings).reading() as c:
                return make(c), None

        return self.once(question, read)

    def instants(self, as_of: str | None) -> tuple[datetime, datetime]:
        """Returns now, and the instant that is asked about."""
        now = self.clock()
        return now, parse_as_of(as_of) if as_of else now

    def written(self) -> None:
        """Invalidates cached answers after this process has written to the warehouse."""
        with self._lock:
            self._answers.clear()
            self._before.clear()
        self.copy.catch_up(seconds=5.0)

    def save_report(
        self,
        report: str,
        lane: str | None,
        document: dict[str, Any],
        record: dict[str, Any] | None,
        *,
        is_what_if: bool = False,
    ) -> None:
        """Saves the evidence of a report and, unless it is a what-if, shows it in Dagster as the day's."""
        if record is not None:
            self.keeper.keep(record)
        if is_what_if:
            return
        day = parse_as_of(document["as_of"]).astimezone(UTC).date()
        self.dagster.report(Report(report, lane, day, document))


def _age(answer: Answer) -> float:
    return time.monotonic() - answer.made_at


def json_answer(document: Any, state: CopyState | None = None) -> Answer:
    """Turns a document into what is sent: the same text as on the command line."""
    body = (pretty_json(document) + "\n").encode()
    return Answer(body, "application/json", state, time.monotonic())
