"""``sources.yaml``: strictly checked, one source's fault concerning that source alone, and no value ever shown."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from cavra_pipeline.errors import PipelineError, UsageError
from cavra_pipeline.settings import load_settings
from cavra_pipeline.sources import PullState, Source, Sources, due_sources, pull, pull_states, read_sources
from cavra_pipeline.sources.pulls import SILENT, UNREADABLE, problems
from cavra_pipeline.state import state_of
from tests.cli.command import command
from tests.imports.sources import json_lines, json_store, sqlite_store
from tests.support import NOW, at, delivery, home_with, query, take_in

CANARY = "canary-q7Zr2Xw9Lm4Tb6"
STORE = {"type": "sqlite", "path": "e.db", "every_minutes": 5}
ONLINE = {"type": "api", "url": "https://cavra.example", "every_minutes": 5}


def written(folder: Path, entries: Mapping[str, Any] | str) -> Path:
    path = folder / "sources.yaml"
    made = entries if isinstance(entries, str) else yaml.safe_dump({"sources": dict(entries)}, sort_keys=False)
    path.write_text(made)
    return path


def test_a_source_of_each_type_is_read(tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, {
        "store": STORE,
        "other": {"type": "json", "path": "/data/e.json", "every_minutes": 60},
        "inbox": {"type": "folder", "path": "inbox", "every_minutes": 1440, "silent_after": 0},
        "log": {"type": "file", "path": "e.jsonl.gz", "every_minutes": 10_080},
        "cavra": {**ONLINE, "url": "https://cavra.example/base/", "header": "X-Access", "header_env": "TOKEN"},
    }))  # fmt: skip

    assert [(one.name, one.type, one.place) for one in sources.usable] == [
        ("store", "sqlite", str(tmp_path / "e.db")),
        ("other", "json", "/data/e.json"),
        ("inbox", "folder", str(tmp_path / "inbox")),
        ("log", "file", str(tmp_path / "e.jsonl.gz")),
        ("cavra", "api", "https://cavra.example/base"),
    ]
    assert (sources.faults, sources.named("inbox").silent_after, sources.named("log").silent_after) == ((), 0, 24)
    assert sources.step_minutes == 5


REFUSED: Mapping[str, tuple[Any, str, str]] = {
    "no mapping": (CANARY, "sources.a", "it is not a mapping"),
    "no type": ({"path": "e", "every_minutes": 5}, "sources.a.type", "it is not a type of source"),
    "unknown type": ({**STORE, "type": CANARY}, "sources.a.type", "it is not a type of source"),
    "unknown key": ({**STORE, "pth": CANARY}, "sources.a.pth", "unknown key"),
    "key that is a secret": ({**STORE, CANARY: 1}, "sources.a.(a key that is not shown)", "unknown key"),
    "no path": ({"type": "file", "every_minutes": 5}, "sources.a.path", "it is required"),
    "number as path": ({**STORE, "path": 7}, "sources.a.path", "it is not text"),
    "path of an API": ({**ONLINE, "path": "e"}, "sources.a.path", "unknown key"),
    "url of a file": ({**STORE, "url": "https://x.example"}, "sources.a.url", "unknown key"),
    "no cadence": ({"type": "file", "path": "e"}, "sources.a.every_minutes", "it is required"),
    "cadence of 0": ({**STORE, "every_minutes": 0}, "sources.a.every_minutes", "it is out of range"),
    "cadence past a week": ({**STORE, "every_minutes": 10_081}, "sources.a.every_minutes", "it is out of range"),
    "truth as cadence": ({**STORE, "every_minutes": True}, "sources.a.every_minutes", "it is out of range"),
    "text as cadence": ({**STORE, "every_minutes": "5"}, "sources.a.every_minutes", "it is out of range"),
    "silence below 0": ({**STORE, "silent_after": -1}, "sources.a.silent_after", "it is out of range"),
    "no url": ({"type": "api", "every_minutes": 5}, "sources.a.url", "it is required"),
    "plain http": ({**ONLINE, "url": "http://cavra.example"}, "sources.a.url", "it is not https"),
    "password in the url": ({**ONLINE, "url": f"https://u:{CANARY}@x.example"}, "sources.a.url", "a user name or"),
    "query": ({**ONLINE, "url": f"https://x.example/?t={CANARY}"}, "sources.a.url", "a query can carry a secret"),
    "no address": ({**ONLINE, "url": f"{CANARY} x"}, "sources.a.url", "it is not a URL"),
    "secret in the file": ({**ONLINE, "token": CANARY}, "sources.a.token", "a secret may not stand in this file"),
    "header alone": ({**ONLINE, "header": "X-Access"}, "sources.a.header", "it has no value"),
    "header of ours": ({**ONLINE, "header": "Host", "header_env": "T"}, "sources.a.header", "not a header"),
    "env and file": ({**ONLINE, "header_env": "T", "header_file": "t"}, "sources.a.header_env", "it contradicts"),
    "secret as env": ({**ONLINE, "header_env": f"Bearer {CANARY}"}, "sources.a.header_env", "not the name of an"),
}  # fmt: skip


@pytest.mark.parametrize(("entry", "where", "says"), REFUSED.values(), ids=REFUSED)
def test_a_source_that_is_not_right_is_named_and_the_others_stay(
    entry: Any, where: str, says: str, tmp_path: Path
) -> None:
    sources = read_sources(written(tmp_path, {"a": entry, "good": STORE}))

    assert [one.name for one in sources.usable] == ["good"]
    with pytest.raises(PipelineError) as raised:
        sources.named("a")
    assert where in str(raised.value)
    assert says in str(raised.value)
    assert raised.value.remedy
    assert CANARY not in str(raised.value)


@pytest.mark.parametrize(("text", "says"), [
    ("", "not a mapping of sources"),
    ("sources: []", "not a mapping of sources"),
    ("sources: {", "not valid YAML"),
    (f"sources: {{a: {{type: file, path: e, every_minutes: 5}}}}\n{CANARY}: 1", "unknown key"),
    (f"sources: {{{CANARY}: {{type: file, path: e, every_minutes: 5}}}}", "it is no name of a source"),
    ("sources: {A: {type: file, path: e, every_minutes: 5}}", "it is no name of a source"),
])  # fmt: skip
def test_a_file_that_is_wrong_as_a_whole_is_refused(text: str, says: str, tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, text))

    assert says in str(sources.refusal)
    assert CANARY not in str(sources.refusal)
    if not sources.by_name:
        with pytest.raises(PipelineError, match=says):
            sources.require()


@pytest.mark.parametrize("text", [
    "sources: {a: {type: file, path: e, every_minutes: 5}, a: {type: file, path: f, every_minutes: 5}}",
    "sources: {a: {type: file, path: e, every_minutes: 5, every_minutes: 6}}",
])  # fmt: skip
def test_what_stands_twice_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="stands twice"):
        read_sources(written(tmp_path, text)).named("a")


def test_a_file_that_others_may_change_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, {"a": STORE})
    path.chmod(0o666)

    with pytest.raises(PipelineError, match="others than its owner may change it"):
        read_sources(path).require()


def test_the_file_is_that_of_the_home_or_the_one_that_is_named(tmp_path: Path) -> None:
    of_home = load_settings({"CAVRA_HOME": str(tmp_path)})
    named = load_settings({"CAVRA_HOME": str(tmp_path), "CAVRA_SOURCES": str(tmp_path / "other.yaml")})

    assert (of_home.sources_file, named.sources_file) == (tmp_path / "sources.yaml", tmp_path / "other.yaml")
    assert of_home.of_home(tmp_path / "another").sources_file is None
    assert read_sources(of_home.sources_file) == Sources()
    with pytest.raises(UsageError, match="the home names no sources"):
        read_sources(None).require()


@pytest.mark.parametrize(("type_", "made"), [("sqlite", sqlite_store), ("json", json_store), ("file", json_lines)])
def test_a_store_is_pulled_and_a_store_of_another_shape_is_refused(type_: str, made: Any, tmp_path: Path) -> None:
    home = home_with(tmp_path)
    path = made(tmp_path / "e", [delivery(at(1), session_id="a"), delivery(at(2), session_id="b")])
    source = Source("store", type_, 5, path=path)

    first = pull(home, source, {}, clock=lambda: NOW)
    again = pull(home, source, {}, clock=lambda: NOW + timedelta(minutes=5))

    assert (first.result.imported_count, again.result.imported_count, again.result.known_count) == (2, 0, 2)
    assert pull_states(state_of(home)) == {"store": PullState(
        NOW + timedelta(minutes=5), NOW + timedelta(minutes=5), NOW, at(1), NOW + timedelta(minutes=5),
        new_count=0, known_count=2, quarantined_count=0,
    )}  # fmt: skip
    wrong = Source("wrong", "json" if type_ != "json" else "sqlite", 5, path=path)
    with pytest.raises(PipelineError, match="not a CAVRA"):
        pull(home, wrong, {}, clock=lambda: NOW)
    assert pull_states(state_of(home))["wrong"].failed_at == NOW


def test_a_folder_with_a_broken_file_imports_the_others_and_fails(tmp_path: Path) -> None:
    home = home_with(tmp_path)
    folder = tmp_path / "inbox"
    folder.mkdir()
    json_lines(folder / "a.jsonl", [delivery(session_id="a")])
    (folder / "b.jsonl").write_text("[]")
    source = Source("inbox", "folder", 5, path=folder)

    with pytest.raises(PipelineError, match=r"b\.jsonl"):
        pull(home, source, {}, clock=lambda: NOW)

    take_in(home)
    assert query(home, "SELECT session_id FROM evidence") == [("a",)]
    (folder / "b.jsonl").unlink()
    done = pull(home, source, {}, clock=lambda: NOW + timedelta(minutes=5))
    assert (done.result.known_count, done.pulls.failed_at) == (1, None)


@pytest.mark.parametrize(("type_", "is_folder"), [("folder", False), ("file", True)])
def test_a_folder_is_no_file_and_a_file_no_folder(type_: str, is_folder: bool, tmp_path: Path) -> None:
    path = tmp_path if is_folder else json_lines(tmp_path / "e.jsonl", [delivery()])

    with pytest.raises(PipelineError, match="Correct the path or the type of the source a"):
        pull(home_with(tmp_path), Source("a", type_, 5, path=path), {}, clock=lambda: NOW)


def known(**states: PullState) -> dict[str, PullState]:
    return states


FIVE, HOUR = Source("five", "file", 5), Source("hour", "file", 60, 2)


@pytest.mark.parametrize(("seconds", "is_due"), [(149, False), (150, True), (300, True)])
def test_a_source_is_due_a_cadence_after_its_last_pull_began(seconds: int, is_due: bool) -> None:
    sources = Sources(Path("s"), {"five": FIVE})

    due = due_sources(sources, known(five=PullState(NOW)), NOW + timedelta(seconds=seconds))

    assert due == ([FIVE] if is_due else [])
    assert due_sources(sources, {}, NOW) == [FIVE]


def told(now: timedelta, **states: PullState) -> list[tuple[str, str, str | None]]:
    found = problems(Sources(Path("s"), {"five": FIVE, "hour": HOUR}), states, NOW, NOW + now)
    return [(one.kind, one.subject, one.cause) for one in found]


@pytest.mark.parametrize("late", [False, True])
def test_a_source_that_is_not_pulled_for_three_cadences_is_silent(late: bool) -> None:
    pulled, limit = PullState(NOW, NOW, NOW), timedelta(minutes=15, microseconds=int(late))

    expected = [(SILENT, "five", "not_pulled")] if late else []
    assert told(limit, five=pulled, hour=pulled) == expected
    assert told(limit) == expected


@pytest.mark.parametrize("late", [False, True])
def test_a_source_without_a_new_record_for_its_limit_is_silent(late: bool) -> None:
    now = timedelta(hours=2, microseconds=int(late))
    hour, five = PullState(NOW, NOW + now, NOW), PullState(NOW, NOW + now, NOW + now)

    assert told(now, five=five, hour=hour) == ([(SILENT, "hour", "no_new_record")] if late else [])


def test_a_source_that_may_be_silent_is_never_and_one_that_fails_is_unreadable() -> None:
    quiet = Source("quiet", "file", 60, 0)
    now = NOW + timedelta(days=30)
    sources = Sources(Path("s"), {"quiet": quiet, "five": FIVE})
    states = {"quiet": PullState(now, now, NOW), "five": PullState(now, now, now, failed_at=NOW, failure="x")}

    assert [(one.kind, one.subject, one.since) for one in problems(sources, states, NOW, now)] == [
        (UNREADABLE, "five", NOW)
    ]


def test_a_malformed_source_and_a_malformed_file_are_told(tmp_path: Path) -> None:
    sources = read_sources(written(tmp_path, {"a": {**STORE, "type": "x"}, "B": STORE}))

    assert [(one.kind, one.subject, one.cause) for one in problems(sources, {}, NOW, NOW)] == [
        (UNREADABLE, "sources.yaml", "malformed"), (UNREADABLE, "a", "malformed")
    ]  # fmt: skip


def test_the_command_pulls_all_sources_or_those_named(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    json_lines(tmp_path / "a.jsonl", [delivery(session_id="a")])
    sqlite_store(tmp_path / "b.db", [delivery(session_id="b"), delivery(session_id="c")])
    written(home, {
        "one": {"type": "file", "path": "../a.jsonl", "every_minutes": 5},
        "two": {"type": "sqlite", "path": "../b.db", "every_minutes": 5},
        "gone": {"type": "file", "path": "../gone.jsonl", "every_minutes": 5},
        "wrong": {"type": "file", "every_minutes": 5},
    })  # fmt: skip

    named = command(home, "import", "--sources", "two", "--json")
    every = command(home, "import", "--sources", "--json")

    assert (named.code, named.document["imported_count"]) == (0, 2)
    assert every.code == 1
    counted = [
        (row["source"], row["imported_count"], row["known_count"], len(row["failures"]))
        for row in every.document["sources"]
    ]
    assert counted == [("one", 1, 0, 0), ("two", 0, 2, 0), ("gone", 0, 0, 1), ("wrong", 0, 0, 1)]
    assert "sources.wrong.path: it is required" in every.err
    assert command(home, "import", "--sources", "none").code == 2
    assert command(home, "import").code == 2
    assert "one" in command(home, "import", "--sources", "one").out


def test_a_home_without_sources_says_what_to_write(tmp_path: Path) -> None:
    said = command(tmp_path / "home", "import", "--sources")

    assert said.code == 2
    assert "Write sources.yaml in the home" in said.err
