"""Time stamps of checkpoints (RFC 3161): asked of an authority, checked, and stored in the home beside what they stamp.

A stamp is two files that other tools read too: the checkpoint, and the authority's answer as it came. The bytes of both
messages are read and made by ``rfc3161-client`` (the extra ``proof``).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cavra_pipeline.connectors.requests import USER_AGENT
from cavra_pipeline.connectors.route import host_route
from cavra_pipeline.connectors.secret import Secret
from cavra_pipeline.connectors.transport import Limits, ProviderResponse, Unanswered, exchange
from cavra_pipeline.errors import PipelineError, TransientError, UsageError
from cavra_pipeline.private import put_in_place
from cavra_pipeline.proof.checkpoint import Checkpoint, Note, origin_of, parse_note
from cavra_pipeline.proof.merkle import root_of
from cavra_pipeline.proof.signing import not_installed
from cavra_pipeline.settings import Settings
from cavra_pipeline.verify.differences import Difference, Part, Verified

if TYPE_CHECKING:
    from cryptography.x509 import Certificate
    from rfc3161_client import TimeStampRequest, TimeStampResponse

_ADDRESS, _ROOTS = "CAVRA_TIMESTAMP_URL", "CAVRA_TIMESTAMP_CA_FILE"
#: An answer with a chain of certificates has some kilobytes.
_MOST_BYTES: Final = 65_536
_LIMITS: Final = Limits(connect=10.0, write=10.0, read=30.0, body_bytes=_MOST_BYTES)
_HEADERS: Final = {"User-Agent": USER_AGENT, "Content-Type": "application/timestamp-query"}
_ANSWER: Final = "application/timestamp-reply"


@dataclass(frozen=True, slots=True)
class TimeStamp:
    """A stamp that holds: when the authority saw the checkpoint, where its answer is, and whether it was asked now."""

    at: datetime
    path: Path
    is_new: bool = False


def time_stamp(settings: Settings, note: Note) -> TimeStamp:
    """Returns the stamp of a checkpoint; asks the authority for one unless it is stored already.

    The authority learns a digest, and nothing else.

    Raises:
        UsageError: No authority is configured, or none of its root certificates.
        TransientError: The authority did not answer; the same command may be repeated.
        PipelineError: What it answered is no stamp of this checkpoint, a stored one is none, or ``rfc3161-client`` is
            not installed.
    """
    if stored := stored_time_stamp(settings, note):
        return stored
    if not settings.timestamp_url:
        raise UsageError(
            "no time-stamping authority is configured", where=_ADDRESS, remedy="Set it to the address of one"
        )
    text, request = note.text.encode(), _request(note.text.encode())
    answer = _request_stamp(settings, request)
    at = _checked(settings, answer, text, nonce=request.nonce)
    path = _path(settings, note)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    # Without the answer the checkpoint's file says nothing, so it may be there alone.
    put_in_place(path.with_suffix(".txt"), lambda file: file.write(text))
    put_in_place(path, lambda file: file.write(answer))
    return TimeStamp(at, path, is_new=True)


def stored_time_stamp(settings: Settings, note: Note) -> TimeStamp | None:
    """Returns the stamp of a checkpoint that the home holds; None without one.

    Raises:
        UsageError: None of the authority's root certificates is configured.
        PipelineError: It does not hold, or ``rfc3161-client`` is not installed.
    """
    path = _path(settings, note)
    answer = _read(path)
    if answer is None:
        return None
    try:
        return TimeStamp(_checked(settings, answer, note.text.encode(), nonce=None), path)
    except InvalidStamp as error:
        raise PipelineError(
            f"the stored time stamp does not hold: {error.what}",
            where=str(path),
            remedy="Find out who changed it; to ask for another, move it away",
        ) from None


def require_authority(settings: Settings) -> None:
    """Refuses a home that could not have a checkpoint stamped; nothing is sent.

    Raises:
        UsageError: None of the authority's root certificates is configured.
        PipelineError: ``rfc3161-client`` is not installed.
    """
    if not _is_installed():
        raise not_installed("rfc3161-client")
    _roots(settings)


class InvalidStamp(PipelineError):
    """An answer that is no stamp of a checkpoint by an authority that is trusted."""


def check_time_stamps(settings: Settings, hashes: list[bytes], verified: Verified) -> Iterator[Difference]:
    """Yields the stored stamps that do not hold, and those of checkpoints that this log never had.

    Args:
        settings: The home.
        hashes: Leaf hashes of the commit log's entries.
        verified: Where to count; no signature is checked where no root certificate is configured.
    """
    for path in sorted(_folder(settings).glob("*.tsr")):
        verified.time_stamp_count += 1
        text, answer = _read(path.with_suffix(".txt")), _read(path)
        if text is None or answer is None:
            yield _differs(path, "the checkpoint that it stamps is gone")
            continue
        try:
            checkpoint = parse_note(text.decode(), str(path)).checkpoint
        except (UsageError, UnicodeDecodeError):
            yield _differs(path, "what it stamps is no checkpoint")
            continue
        if not _is_of_log(checkpoint, hashes):
            yield _differs(path, "the log has not grown out of the checkpoint that it stamps", checkpoint.size)
        if settings.timestamp_ca_file and _is_installed():
            verified.checked_time_stamp_count += 1
            try:
                _checked(settings, answer, text, nonce=None)
            except InvalidStamp as error:
                yield _differs(path, error.what, checkpoint.size)


def _differs(path: Path, what: str, number: int = 0) -> Difference:
    return Difference(Part.TIME_STAMP, what, file_name=path.name, number=number)


def _is_of_log(checkpoint: Checkpoint, hashes: list[bytes]) -> bool:
    size = checkpoint.size
    is_named = bool(hashes) and checkpoint.origin == origin_of(hashes[0])
    return is_named and 0 < size <= len(hashes) and root_of(hashes[:size]) == checkpoint.root


def _folder(settings: Settings) -> Path:
    return settings.home / "checkpoints"


def _path(settings: Settings, note: Note) -> Path:
    head = note.checkpoint
    return _folder(settings) / f"{head.size}-{head.root.hex()[:16]}.tsr"


def _read(path: Path) -> bytes | None:
    """A file's bytes, of a long one enough to see that it is none of ours; None if it is not there."""
    try:
        with path.open("rb") as file:
            return file.read(_MOST_BYTES + 1)
    except FileNotFoundError:
        return None


# --- What rfc3161-client does ---------------------------------------------------------------------------------------


def _is_installed() -> bool:
    try:
        import rfc3161_client  # noqa: F401
    except ImportError:
        return False
    return True


def _request(text: bytes) -> TimeStampRequest:
    try:
        from rfc3161_client import HashAlgorithm, TimestampRequestBuilder
    except ImportError:
        raise not_installed("rfc3161-client") from None
    return TimestampRequestBuilder().data(text).hash_algorithm(HashAlgorithm.SHA256).build()


def _request_stamp(settings: Settings, request: TimeStampRequest) -> bytes:
    url = Secret(settings.timestamp_url or "")
    try:
        answer = exchange(
            host_route(url, os.environ, settings.ca_file), "POST", url, _HEADERS, request.as_bytes(),
            limits=_LIMITS, monotonic=time.monotonic,
        )  # fmt: skip
    except Unanswered as error:
        raise _unanswered(error.reason) from None
    if answer.status in (408, 429) or answer.status >= 500:
        raise _unanswered(f"http_{answer.status}")
    if not _is_stamp(answer):
        raise PipelineError(
            f"the answer is no time stamp (http_{answer.status})",
            where=_ADDRESS,
            remedy="Set it to the address of a time-stamping authority (RFC 3161)",
        )
    return answer.body or b""


def _is_stamp(answer: ProviderResponse) -> bool:
    kind = (answer.values("content-type") or [""])[0].partition(";")[0].strip().lower()
    return answer.status == 200 and bool(answer.body) and kind == _ANSWER


def _unanswered(reason: str) -> TransientError:
    return TransientError(
        f"the time-stamping authority did not answer: {reason}", where=_ADDRESS, remedy="Repeat the command"
    )


def _checked(settings: Settings, answer: bytes, text: bytes, *, nonce: int | None) -> datetime:
    """Returns when an authority that is trusted saw a text.

    Args:
        settings: Name the root certificates.
        answer: What it answered.
        text: What it has stamped.
        nonce: That of the request; None for an answer that was stored.
    """
    try:
        from rfc3161_client import VerificationError, VerifierBuilder, decode_timestamp_response
    except ImportError:
        raise not_installed("rfc3161-client") from None
    roots = _roots(settings)
    try:
        response: TimeStampResponse = decode_timestamp_response(answer)
    except ValueError:
        raise _invalid("it is no time stamp") from None
    if response.status != 0:
        raise _invalid(f"the authority has refused it (status {response.status})")
    builder = VerifierBuilder(roots=roots, nonce=nonce)
    try:
        builder.build().verify_message(response, text)
    except (VerificationError, ValueError):
        # What the library says of it names parts of its own.
        raise _invalid("it is not one of this checkpoint by an authority whose root certificate is trusted") from None
    return response.tst_info.gen_time.astimezone(UTC)


def _roots(settings: Settings) -> list[Certificate]:
    from cryptography.x509 import load_pem_x509_certificates

    try:
        if not settings.timestamp_ca_file:
            raise ValueError
        return load_pem_x509_certificates(settings.timestamp_ca_file.read_bytes())
    except (OSError, ValueError):
        raise UsageError(
            "there is no root certificate of the time-stamping authority",
            where=_ROOTS,
            remedy="Name a file (PEM) with the certificate that its signatures lead to",
        ) from None


def _invalid(what: str) -> InvalidStamp:
    return InvalidStamp(what, where=_ADDRESS, remedy=f"Check it and {_ROOTS}")
