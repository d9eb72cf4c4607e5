"""The API under load: ``python -m benchmarks.api [--clients N] [--seconds S] [--records N] [--large N]``.

Clients read without a pause while a backfill writes again and again; then one client asks for the health of a large
warehouse, each time for another instant, so that no answer is given twice.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx

from benchmarks.records import START, write_day, write_drop
from cavra_pipeline.evidence.ingest import ingest
from cavra_pipeline.settings import Settings

PATHS = (
    "/api/v1/lanes/recovery_escalation/health",
    "/api/v1/lanes/executive_report/health",
    "/api/v1/lanes/recovery_escalation/plan",
    "/api/v1/lanes",
    "/api/v1/dashboard",
    "/api/v1/history",
    "/api/v1/evidence",
    "/api/v1/partitions",
    "/api/v1/quarantine",
    "/api/v1/findings",
)
DAYS = 20


def home_of(folder: Path, records: int) -> Settings:
    """A home whose evidence lies in twenty days."""
    settings = Settings(home=folder).prepare()
    for number in range(DAYS):
        write_day(settings.landing, number, records // DAYS)
    ingest(settings, now=START + timedelta(days=DAYS))
    return settings


def serve(settings: Settings, port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "cavra_pipeline.cli", "api", "--port", str(port)],
        env={**os.environ, "CAVRA_HOME": str(settings.home)},
        stderr=subprocess.DEVNULL,
    )
    for _ in range(300):
        try:
            if httpx.get(f"http://127.0.0.1:{port}/api/v1/status").status_code == 200:
                return process
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("the service did not start")


def backfill(settings: Settings) -> subprocess.Popen[bytes]:
    last = START + timedelta(days=DAYS - 1)
    days = ["--from", START.date().isoformat(), "--to", last.date().isoformat()]
    return subprocess.Popen(
        [sys.executable, "-m", "cavra_pipeline.cli", "backfill", *days],
        env={**os.environ, "CAVRA_HOME": str(settings.home)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


async def read_on(url: str, clients: int, seconds: float) -> tuple[list[float], Counter[str]]:
    """Every client asks the paths in turn, each from another one on."""
    spent: list[float] = []
    answers: Counter[str] = Counter()
    until = time.perf_counter() + seconds

    async def ask_in_turn(number: int) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            turn = number
            while time.perf_counter() < until:
                started = time.perf_counter()
                try:
                    status = str((await client.get(PATHS[turn % len(PATHS)])).status_code)
                except httpx.HTTPError as error:
                    status = type(error).__name__
                spent.append(time.perf_counter() - started)
                answers[status] += 1
                turn += 1

    await asyncio.gather(*(ask_in_turn(number) for number in range(clients)))
    return spent, answers


def under_load(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    settings = home_of(folder / "load", options.records)
    process = serve(settings, options.port)
    backfills = 0
    try:
        reader = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.api", "--read", *_same(options)], stdout=subprocess.PIPE
        )
        while reader.poll() is None:
            writer = backfill(settings)
            while writer.poll() is None and reader.poll() is None:
                time.sleep(0.05)
            backfills += writer.poll() == 0
            if writer.poll() is None:
                writer.wait()
        assert reader.stdout is not None
        measured: dict[str, Any] = json.loads(reader.stdout.read())
    finally:
        process.terminate()
        process.wait()
    return {**measured, "records": options.records, "backfills": backfills}


def _same(options: argparse.Namespace) -> list[str]:
    return ["--clients", str(options.clients), "--seconds", str(options.seconds), "--port", str(options.port)]


def read(options: argparse.Namespace) -> None:
    spent, answers = asyncio.run(read_on(f"http://127.0.0.1:{options.port}", options.clients, options.seconds))
    cuts = quantiles(spent, n=1000)
    figures = {"requests": len(spent), "answers": dict(answers), "p50": median(spent), "p95": cuts[949],
               "p99": cuts[989], "longest": max(spent)}  # fmt: skip
    print(json.dumps(figures))


def large(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    settings = Settings(home=folder / "large").prepare()
    target = settings.landing / START.date().isoformat()
    target.mkdir()
    write_drop(target / "evidence.jsonl", options.large)
    ingest(settings, now=datetime(2027, 1, 1, tzinfo=UTC))
    process = serve(settings, options.port + 1)
    spent: list[float] = []
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{options.port + 1}", timeout=60) as client:
            for number in range(30):
                as_of = (datetime(2027, 1, 1, tzinfo=UTC) - timedelta(minutes=number)).isoformat()
                started = time.perf_counter()
                client.get(PATHS[0], params={"as_of": as_of}).raise_for_status()
                spent.append(time.perf_counter() - started)
    finally:
        process.terminate()
        process.wait()
    return {"records": options.large, "p50": median(spent), "longest": max(spent), "warehouse_bytes":
            settings.warehouse.stat().st_size}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.api", description=__doc__)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--records", type=int, default=20_000, help="records while a backfill writes")
    parser.add_argument("--large", type=int, default=1_000_000, help="records of the large warehouse; 0: leave out")
    parser.add_argument("--port", type=int, default=8790)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(options)
        return
    folder = Path(tempfile.mkdtemp(prefix="cavra-api-benchmark-"))
    try:
        if options.seconds:
            print(json.dumps({"under_load": under_load(folder, options)}, indent=1), flush=True)
        if options.large:
            print(json.dumps({"large": large(folder, options)}, indent=1))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
