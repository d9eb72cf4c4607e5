"""Makes a proof bundle: a report, the records that it is based on, the commit log, and a verifier (docs/proof.md).

Nothing is read here but the verifier's own files. Which report, and from which home, is decided in ``prove``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from importlib.resources import files as files_of
from typing import TYPE_CHECKING, Any, Final

from cavra_pipeline.documents import canonical_bytes, identified
from cavra_pipeline.proof.checkpoint import Note, key_id
from cavra_pipeline.verify import check, container, signatures
from cavra_pipeline.verify.derive import EXECUTIVE_ID
from cavra_pipeline.verify.lane_rules import lane_rules_module

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

#: Files of this package that go into every bundle as they are, and those that only an executive report needs.
_VERIFIER: Final = ("check.py", "container.py", "derive.py", "pairs.py", "signatures.py")
_EXECUTIVE: Final = ("executive.py", "providers.py", "recoveries.py")
_MAIN: Final = b"""import sys

from verifier.check import run
from verifier.lanes import LANES

lines, code = run(sys.argv, LANES)
print("\\n".join(lines))
sys.exit(code)
"""
#: What stands beside entries of a report because of other lanes; the id of the report leaves it out too.
_OF_OTHER_LANES: Final = "provider_incident_id"


@dataclass(frozen=True, slots=True)
class DisclosedDay:
    """One segment as it is disclosed: the salt, 16 bytes, and the records, a canonical text each."""

    salt: bytes
    records: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class Proven:
    """What a bundle is made of.

    Attributes:
        report: The report, as ``attested`` returns it.
        days: The segments of its lane up to its instant, by UTC day as ``2026-06-01``; of a report over all lanes those
            of the home, by lane and day as ``check`` finds them: ``recovery_escalation/2026-06-01``.
        entries: The bytes of every entry of the commit log, oldest first.
        checkpoint: The head of that log.
        pruned: Records and deliveries of the lane that retention has removed: ``record_count``, ``delivery_count``. Of
            a report over all lanes the same, with ``latest_record_at``, of each lane of which anything was removed.
        made_by: Versions of what made the report, by name.
        map_salt: What hides the pairs in a map of the lane, 16 bytes; empty unless all days of the lane go along and a
            map follows its last change: the salt of later maps is the same.
    """

    report: Mapping[str, Any]
    days: Mapping[str, DisclosedDay]
    entries: Sequence[bytes]
    checkpoint: Note
    pruned: Mapping[str, Any] = field(default_factory=lambda: {"record_count": 0, "delivery_count": 0})
    made_by: Mapping[str, str] = field(default_factory=dict)
    map_salt: bytes = b""


def attested(report: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what of a report evidence decides: all that its id is made of, and the id."""
    if EXECUTIVE_ID in report and "lane" not in report:
        # Its id is made of its lanes without what came later, and of incidents too.
        return {**identified(report), "lanes": [identified(lane) for lane in report["lanes"]]}
    return {name: _without(value) for name, value in identified(report).items()}


def _without(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    return [
        {name: row[name] for name in row if name != _OF_OTHER_LANES} if isinstance(row, Mapping) else row
        for row in value
    ]


def make_bundle(proven: Proven, key: Ed25519PrivateKey | None = None) -> bytes:
    """Returns a bundle as one file; the same from the same.

    Args:
        proven: What goes into it.
        key: The key that the checkpoint is signed with; None: the bundle is unsigned, and so must the checkpoint be.
    """
    files = verifier_files(proven.report) | {
        container.README: files_of(__package__).joinpath(container.README).read_bytes(),
        container.REPORT: canonical_bytes(proven.report),
        container.LOG: b"".join(entry + b"\n" for entry in proven.entries),
        container.CHECKPOINT: proven.checkpoint.text.encode(),
        **{f"{container.EVIDENCE}{day}.jsonl": _text(disclosed_day) for day, disclosed_day in proven.days.items()},
    }
    if key:
        files[container.KEY] = public_text(
            proven.checkpoint.checkpoint.origin, key.public_key().public_bytes_raw()
        ).encode()
    payload = canonical_bytes(_statement(proven, files))
    signed = [_signature(payload, key, proven.checkpoint.checkpoint.origin)] if key else []
    envelope = {"payload": _base64(payload), "payloadType": signatures.PAYLOAD_TYPE, "signatures": signed}
    files[container.ATTESTATION] = canonical_bytes(envelope)
    return container.pack(files | {container.SUMS: container.sums_of(files)})


def verifier_files(report: Mapping[str, Any]) -> dict[str, bytes]:
    """Returns the files of the verifier of a report, by their names in a bundle."""
    package = files_of(__package__)
    code = _VERIFIER if "lane" in report else (*_VERIFIER, *_EXECUTIVE)
    return {
        container.MAIN: _MAIN,
        f"{container.CODE}__init__.py": b"",
        f"{container.CODE}lanes.py": lane_rules_module(),
        **{f"{container.CODE}{name}": package.joinpath(name).read_bytes() for name in code},
    }


def proven_report(bundle: bytes) -> tuple[str, str]:
    """Returns the id of the report in a bundle, and the SHA-256 of its bytes."""
    content = container.unpack(bundle)[container.REPORT]
    return str(check.about(json.loads(content))["id"]), sha256(content).hexdigest()


def is_own_verifier(bundle: bytes) -> bool:
    """Returns whether the verifier in a bundle, which `check` found in order, is the one of this release."""
    files = container.unpack(bundle)
    ours = verifier_files(json.loads(files[container.REPORT]))
    return ours == {name: files[name] for name in files if name == container.MAIN or name.startswith(container.CODE)}


def public_text(name: str, public_key: bytes) -> str:
    """Returns a public key as C2SP signed notes have it, with its line end."""
    return f"{name}+{key_id(name, public_key).hex()}+{_base64(signatures.ED25519 + public_key)}\n"


def _statement(proven: Proven, files: Mapping[str, bytes]) -> dict[str, Any]:
    log = proven.checkpoint.checkpoint
    return {
        "_type": check.STATEMENT_TYPE,
        "subject": [
            {"name": name, "digest": {"sha256": digest}} for name, digest in container.digests_of(files).items()
        ],
        "predicateType": check.PREDICATE_TYPE,
        "predicate": {
            "report": check.about(dict(proven.report)),
            "log": {"origin": log.origin, "size": log.size},
            "salts": {day: disclosed_day.salt.hex() for day, disclosed_day in proven.days.items()},
            "map_salt": proven.map_salt.hex(),
            "pruned": proven.pruned,
            "made_by": proven.made_by,
        },
    }


def _signature(payload: bytes, key: Ed25519PrivateKey, name: str) -> dict[str, str]:
    named = f"{name}+{key_id(name, key.public_key().public_bytes_raw()).hex()}"
    return {"keyid": named, "sig": _base64(key.sign(signatures.to_sign(payload)))}


def _text(day: DisclosedDay) -> bytes:
    return b"".join(record + b"\n" for record in day.records)


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()
