"""Checks a proof bundle with Python 3.11 alone; goes into every bundle. The format is in docs/proof-format.md.

What belongs here: the archive, digests, signatures, the commit log, the evidence. `derive` recomputes the report.
Imports are relative, since in a bundle this package has another name.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from . import container, pairs
from .container import NotProven, canonical, leaf, need, root_of
from .derive import EXECUTIVE_ID, REPORT_IDS, Document, derive
from .signatures import PAYLOAD_TYPE, PublicKey, checkpoint, exact_base64, is_signed, public_key, to_sign

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://cavra-pipeline.example/proof/report/v1"
#: At most this many differences of a report are named.
MOST_NAMED = 5
#: Lane and UTC day of a segment.
Place = tuple[str, str]


def checks(
    raw: bytes, lanes: Document, *, key: str | None = None, against: str | None = None
) -> Iterator[tuple[str, str]]:
    """Checks a bundle or a light proof, yielding each part that holds and what it shows.

    Args:
        raw: The bundle, or the light proof of a pair.
        lanes: The rules of each lane, by its name.
        key: The text of a public key that the reader got elsewhere; None: the one in the bundle.
        against: A checkpoint of the same log that the reader has saved.

    Raises:
        NotProven: Something does not hold.
    """
    if raw[:1] == b"{":
        yield from pairs.checks(raw, lanes, key=key, against=against)
        return
    files = container.unpack(raw)
    envelope = json.loads(files[container.ATTESTATION])
    payload = base64.b64decode(envelope["payload"])
    statement, report = json.loads(payload), json.loads(files[container.REPORT])
    predicate, folders = statement["predicate"], _folders(report, lanes)
    types = statement["_type"], statement["predicateType"], envelope["payloadType"]
    need(types == (STATEMENT_TYPE, PREDICATE_TYPE, PAYLOAD_TYPE), "file: the attestation is of another type")
    need(predicate["report"] == about(report), "report: the attestation is of another")
    yield "file", _files(files, statement["subject"])
    is_signed_by = key or (files[container.KEY].decode() if envelope["signatures"] else "")
    signer = public_key(is_signed_by, predicate["log"]["origin"]) if is_signed_by else None
    yield "signature", _signed(envelope, payload, signer, "your key" if key else "the key in the bundle; is it theirs?")
    lines = files[container.LOG].split(b"\n")[:-1]
    hashes, entries = [*map(leaf, lines)], [*map(json.loads, lines)]
    origin, size, root = checkpoint(files[container.CHECKPOINT].decode(), signer)
    need(origin == f"cavra-pipeline/{hashes[0].hex()[:16]}", "log: the checkpoint is that of another log")
    is_whole = size == len(lines) and root == base64.b64encode(root_of(hashes)).decode()
    need(is_whole and predicate["log"] == {"origin": origin, "size": size}, "log: it is not that of the checkpoint")
    old_size = _older(checkpoint(against, signer), origin, hashes) if against else size
    segments, changes = _replay(entries, folders.keys(), old_size)
    yield "log", f"entries 1 to {size}; checkpoint {root}"
    if against:
        changed = "; ".join(changes) or "no day up to its last has changed"
        yield "history", f"it grew out of your checkpoint at entry {old_size}. In what was disclosed: {changed}"
    records = _records(files, report, segments, lanes, predicate["salts"])
    counted, days = sum(map(len, records.values())), len({place[-10:] for place in predicate["salts"]})
    whose = "the lane" if len(folders) == 1 else "the home"
    yield "evidence", f"{_many(counted, 'record')} of {_many(days, 'day')}: all that {whose} had until then"
    pruned = predicate["pruned"]
    need(not any(pruned.values()) or any(entry["prunings"] for entry in entries), "log: it names no pruning")
    need(canonical(report) == files[container.REPORT], "report: it is not written as it must be")
    if "lane" not in report:
        yield from _executive(report, lanes, records, entries, pruned)
        gone = sum(counts["record_count"] for counts in pruned.values())
    else:
        lane = lanes[report["lane"]]
        yield from _maps(entries, lane, records[lane["name"]], segments, predicate)
        _same(report, derive(report, lane, records[lane["name"]], pruned))
        yield "report", "recomputed from the records, and the same in every member"
        gone = pruned["record_count"]
    if any(pruned.values()):
        yield "retention", f"{_many(gone, 'older record')} pruned; only the log says so"


def about(report: Document) -> Document:
    """Returns how an attestation names its report: id, instant, and the lane if it has one."""
    if "lane" not in report:
        return {"id": report[EXECUTIVE_ID], "as_of": report["as_of"]}
    report_id = next(report[name] for name in REPORT_IDS if name in report)
    return {"id": report_id, "lane": report["lane"], "as_of": report["as_of"]}


def _folders(report: Document, lanes: Document) -> dict[str, str]:
    """Returns the folder of each lane that a report is based on; a report without a lane is based on all."""
    if "lane" in report:
        return {report["lane"]: container.EVIDENCE}
    return {name: f"{container.EVIDENCE}{name or container.NO_LANE}/" for name in lanes}


def _is_of(record: Document, lane: str, lanes: Document) -> bool:
    """Returns whether a record belongs to a lane, or, if `lane` is empty, to none."""
    kind, source, no_lane = record.get("metadata_kind"), record.get("connector_delivery_source"), lanes[""]
    if lane:
        return kind in lanes[lane]["types"] and source in (None, lanes[lane]["source"])
    if kind == no_lane["delivery"]:
        return source not in {rules["source"] for name, rules in lanes.items() if name}
    return kind in no_lane["types"] or all(kind not in rules["types"] for rules in lanes.values())


def _executive(
    report: Document, lanes: Document, records: Mapping[str, list[Document]], log: list[Document], pruned: Document
) -> Iterator[tuple[str, str]]:
    try:
        from . import executive
    except ImportError:
        # Bundles of a lane's report come without it.
        raise NotProven("file: only the verifier of an executive report checks one") from None
    recomputed = executive.derive_executive(report, lanes, records, log, pruned)
    _same(executive.numbers_of(report), recomputed)
    yield "report", "its numbers recomputed from records and log, and the same"
    yield "words", f"the report's id is the digest of all of it. Not recomputed: {', '.join(executive.words())}"


def _same(report: Document, recomputed: Document) -> None:
    differences = [*_differences(report, recomputed)]
    need(not differences, "report: " + "; ".join(differences[:MOST_NAMED]))


def _files(files: Mapping[str, bytes], subjects: Sequence[Document]) -> str:
    attested = {subject["name"]: subject["digest"]["sha256"] for subject in subjects}
    digests = {name: digest for name, digest in container.digests_of(files).items() if name != container.ATTESTATION}
    odd = sorted(name for name in attested | digests if attested.get(name) != digests.get(name))
    need(not odd, f"file: not as attested: {', '.join(odd)}")
    names = {container.MAIN, container.README, container.REPORT, container.LOG, container.CHECKPOINT, container.KEY}
    is_bundle = all(name in names or name.startswith((container.EVIDENCE, container.CODE)) for name in digests)
    need(is_bundle, "file: the archive holds others than a bundle has")
    is_listed = files[container.SUMS] == container.sums_of(files)
    need(is_listed, f"file: {container.ATTESTATION} or {container.SUMS} was changed")
    return f"{_many(len(files), 'file')}, none added, missing or changed"


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _signed(envelope: Document, payload: bytes, signer: PublicKey | None, whose: str) -> str:
    if not signer:
        return "none, so nothing shows who made the bundle, only that it fits together"
    signatures = [exact_base64(signature["sig"]) for signature in envelope["signatures"]]
    is_ours = any(is_signed(signer.raw, to_sign(payload), signature) for signature in signatures)
    need(is_ours, "signature: the attestation is not signed by the key")
    return f"by {signer.name}+{signer.key_id.hex()}, {whose}"


def _older(older: tuple[str, int, str], origin: str, hashes: list[bytes]) -> int:
    old_origin, size, root = older
    need(old_origin == origin, "history: your checkpoint is that of another log")
    is_older = f"your checkpoint has {size} entries and its log {len(hashes)}: check a bundle that was made since"
    need(0 < size <= len(hashes), f"history: the bundle is older than your checkpoint; {is_older}")
    is_grown = root == base64.b64encode(root_of(hashes[:size])).decode()
    need(is_grown, "history: the log did not grow out of your checkpoint; what it had committed was rewritten")
    return size


def _replay(entries: list[Document], lanes: Collection[str], old_size: int) -> tuple[dict[Place, Document], list[str]]:
    """Returns the segments after all entries, and the changes since the old checkpoint to days that it already had."""
    segments: dict[Place, Document] = {}
    changes, ends = list[str](), dict.fromkeys(lanes, "")
    for number, entry in enumerate(entries, 1):
        for change in entry["segments"]:
            place = change["lane"], change["day"]
            need(segments.get(place) == change["before"], f"log: entry {number} does not follow from those before it")
            end = ends.get(place[0], "")
            if number <= old_size and place[0] in ends:
                ends[place[0]] = max(end, place[1])
            elif place[1] <= end:
                files = ", ".join(f"{file['drop_day']}/{file['file_name']}" for file in entry["files"])
                where = f"{place[1]} of {place[0] or 'no lane'}" if len(ends) > 1 else place[1]
                changes.append(f"{where} by entry {number} ({entry['act']} {files or 'without landing files'})")
            segments[place] = change["after"]
    segments = {place: segment for place, segment in segments.items() if segment}
    listed = [{"lane": lane, "day": day, **segment} for (lane, day), segment in sorted(segments.items())]
    root = root_of([leaf(canonical(segment)) for segment in listed]).hex()
    need(root == entries[-1]["segments_root"], "log: its segments are not those of its last entry")
    return segments, changes


def _records(
    files: Mapping[str, bytes], report: Document, segments: Mapping[Place, Document], lanes: Document,
    salts: Mapping[str, str],
) -> dict[str, list[Document]]:  # fmt: skip
    """Returns the records of each lane, oldest first, after checking that they are all of the log up to the day."""
    folders = _folders(report, lanes)
    last = datetime.fromisoformat(report["as_of"]).astimezone(UTC).date().isoformat()
    unknown = sorted({lane for lane, _ in segments} - folders.keys()) if len(folders) > 1 else []
    need(not unknown, f"evidence: the log has lanes that this verifier doesn't know: {', '.join(unknown)}")
    wanted = {
        f"{folders[lane]}{day}.jsonl": (lane, day, segment)
        for (lane, day), segment in segments.items() if lane in folders and day <= last
    }  # fmt: skip
    odd = sorted(wanted.keys() ^ {name for name in files if name.startswith(container.EVIDENCE)})
    need(not odd, f"evidence: days that the log and the bundle don't both have: {', '.join(map(_place, odd))}")
    records: dict[str, list[Document]] = {lane: [] for lane in folders}
    for name, (lane, day, segment) in sorted(wanted.items()):
        lines, place = files[name].split(b"\n")[:-1], _place(name)
        root = root_of([leaf(bytes.fromhex(salts[place])), *map(leaf, lines)]).hex()
        is_segment = {"root": root, "size": len(lines)} == segment
        need(is_segment, f"evidence: the records of {place} are not those of the log")
        of_day = [*map(json.loads, lines)]
        places = [(datetime.fromisoformat(record["created_at"]), record["session_id"]) for record in of_day]
        in_order = places == sorted(places) and {at.astimezone(UTC).date().isoformat() for at, _ in places} == {day}
        need(in_order, f"evidence: the records of {place} are of another day or out of order")
        records[lane] += of_day
    need(salts.keys() == set(map(_place, wanted)), "evidence: there are salts of other days")
    for lane, of_lane in records.items():
        need(all(_is_of(record, lane, lanes) for record in of_lane), "evidence: it holds records of another lane")
    ids = [record["session_id"] for of_lane in records.values() for record in of_lane]
    need(len({*ids}) == len(ids), "evidence: a record is there twice")
    return records


def _place(name: str) -> str:
    """Returns the name of a file of records in messages and among the salts."""
    return name[len(container.EVIDENCE) : -len(".jsonl")]


def _maps(
    entries: list[Document], lane: Document, records: list[Document], segments: Mapping[Place, Document],
    predicate: Document,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Checks the lane's newest maps of light proofs, if the bundle discloses all records of the lane."""
    maps = newest_maps(entries, lane["name"])
    if not maps or {day for name, day in segments if name == lane["name"]} != predicate["salts"].keys():
        return
    texts = {record["session_id"]: canonical(record) for record in records}
    root = pairs.map_of(lane, records, texts, bytes.fromhex(predicate["map_salt"])).root().hex()
    for entry in maps:
        need(entry["map"]["root"] == root, f"log: the map of entry {entry['number']} is not that of the records")
    yield "map", f"entry {maps[-1]['number']}: light proofs by it are of these records"


def newest_maps(entries: Sequence[Document], lane: str) -> list[Document]:
    """Returns the log's entries with a map of a lane, since the lane's last change."""
    changes_lane = [any(change["lane"] == lane for change in entry["segments"]) for entry in entries]
    last = max((index for index, changes in enumerate(changes_lane) if changes), default=-1)
    return [entry for entry in entries[last + 1 :] if entry["act"] == "map" and entry["map"]["lane"] == lane]


def _differences(report: Any, recomputed: Any, path: str = "") -> Iterator[str]:
    """Yields each difference between a report and the recomputed one; the id, which follows from the rest, is last."""
    if isinstance(report, dict) and isinstance(recomputed, dict):
        for name in sorted(report.keys() | recomputed.keys(), key=lambda name: (name in REPORT_IDS, name)):
            values = report.get(name, "nothing"), recomputed.get(name, "nothing")
            yield from _differences(*values, f"{path}.{name}".strip("."))
    elif isinstance(report, list) and isinstance(recomputed, list) and len(report) == len(recomputed):
        for number, values in enumerate(zip(report, recomputed, strict=True)):
            yield from _differences(*values, f"{path}[{number}]")
    elif canonical(report) != canonical(recomputed):
        said, right = (f"{len(v)} entries" if isinstance(v, list) else json.dumps(v) for v in (report, recomputed))
        yield f"{path} says {said}, the records say {right}"


def judged(
    raw: bytes, lanes: Document, *, key: str | None = None, against: str | None = None
) -> tuple[list[tuple[str, str]], str]:
    """Returns the parts of a bundle that hold, and what does not; the arguments are those of `checks`."""
    proven: list[tuple[str, str]] = []
    try:
        proven.extend(checks(raw, lanes, key=key, against=against))
    except NotProven as fault:
        return proven, str(fault)
    except Exception as error:  # noqa: BLE001 -- whatever a broken bundle leads to, it is not proven
        return proven, f"file: it is damaged, or written as no bundle is ({type(error).__name__})"
    return proven, ""


def printed(proven: Sequence[tuple[str, str]], fault: str) -> list[str]:
    """Returns what `judged` found, a line for each part and one for all."""
    lines = [f"ok   {part}: {shown}" for part, shown in proven]
    return [*lines, f"FAIL {fault}", "NOT PROVEN"] if fault else [*lines, "PROVEN"]


def run(arguments: Sequence[str], lanes: Document) -> tuple[list[str], int]:
    """Checks the bundle that a command line names; returns what to print, and the exit code."""
    parser = argparse.ArgumentParser(description="Checks a proof bundle. Exit 0: proven. Exit 1: not proven.")
    parser.add_argument("bundle", type=Path, nargs="?", default=arguments[0], help="this file if none is named")
    parser.add_argument("--key", type=Path, help="public key that you got elsewhere")
    parser.add_argument("--against", type=Path, help="checkpoint that you have kept")
    options = parser.parse_args(arguments[1:])
    key, against = (path and path.read_text("utf-8") for path in (options.key, options.against))
    proven, fault = judged(options.bundle.read_bytes(), lanes, key=key, against=against)
    lines = printed(proven, fault)
    printable = ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in line) for line in lines]
    return printable, 1 if fault else 0
