"""The parts of a bundle: canonical JSON, digests, trees (RFC 6962), the archive.

Python 3.11 and nothing else; goes into every bundle.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping

ATTESTATION, SUMS, KEY, REPORT = "attestation.json", "SHA256SUMS", "key.txt", "report.json"
LOG, CHECKPOINT, EVIDENCE, README = "log.jsonl", "checkpoint.txt", "evidence/", "README.txt"
#: Folder of records without a lane, where there are those of all lanes.
NO_LANE = "no_lane"
MAIN, CODE = "__main__.py", "verifier/"
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True)


class NotProven(Exception):
    """A check that failed; its text says which, for a person."""


def need(holds: object, what: str) -> None:
    """Raises `NotProven` unless a check holds."""
    if not holds:
        raise NotProven(what)


def canonical(document: object) -> bytes:
    """Returns the canonical JSON text of a document."""
    return _ENCODER.encode(document).encode()


def leaf(content: bytes) -> bytes:
    """Returns the hash of a leaf."""
    return hashlib.sha256(b"\0" + content).digest()


def root_of(level: list[bytes]) -> bytes:
    """Returns the root over leaf hashes."""
    while len(level) > 1:
        nodes = [hashlib.sha256(b"\1" + level[n] + level[n + 1]).digest() for n in range(0, len(level) - 1, 2)]
        level = nodes + level[2 * len(nodes) :]
    return level[0] if level else hashlib.sha256().digest()


def pack(files: Mapping[str, bytes]) -> bytes:
    """Returns a zip archive without compression, the same bytes for the same files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(name)
            member.create_system, member.external_attr = 3, 0o644 << 16
            archive.writestr(member, files[name])
    return content.getvalue()


def unpack(raw: bytes) -> dict[str, bytes]:
    """Returns the files of an archive that `pack` made."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = archive.infolist()
            need(all(member.compress_type == zipfile.ZIP_STORED for member in members), "file: it is compressed")
            files = {member.filename: archive.read(member) for member in members}
    except zipfile.BadZipFile:
        raise NotProven("file: the archive is damaged or cut short; fetch it again") from None
    need(pack(files) == raw, "file: it holds other bytes than its files")
    return files


def digests_of(files: Mapping[str, bytes]) -> dict[str, str]:
    """Returns the digests of files by their names, in order, without the list of digests itself."""
    return {name: hashlib.sha256(files[name]).hexdigest() for name in sorted(files) if name != SUMS}


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Returns the digests of files, as `sha256sum` writes and checks them."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests_of(files).items()).encode()
