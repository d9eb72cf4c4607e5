"""An authority and the certificates it signs, made by `openssl` for one test run; none of them is ever committed."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: The names of this machine.
LOCAL: Final = "DNS:localhost,IP:127.0.0.1"

_CONFIGURATION: Final = """[ca]
default_ca=here
[here]
database={folder}/index
serial={folder}/serial
new_certs_dir={folder}
default_md=sha256
policy=any
unique_subject=no
[any]
commonName=supplied
"""
_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    pem: Path
    key: Path


class Authority:
    """Signs certificates for servers; its own certificate is what a `ca_file` holds."""

    def __init__(self, folder: Path) -> None:
        """Make the authority's key and certificate in a folder of its own."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "index").touch()
        (folder / "configuration").write_text(_CONFIGURATION.format(folder=folder), encoding="utf-8")
        self.own = Certificate(folder / "ca.pem", folder / "ca.key")
        _openssl(
            "req", "-x509", *_KEY, "-keyout", self.own.key, "-out", self.own.pem, "-days", "2",
            "-subj", "/CN=An authority of the tests", "-addext", "basicConstraints=critical,CA:TRUE",
            "-addext", "keyUsage=critical,keyCertSign",
        )  # fmt: skip

    def certificate(self, names: str, *, start: str = "20200101000000Z", end: str = "20991231000000Z") -> Certificate:
        """A certificate for some names, such as `DNS:localhost,IP:127.0.0.1`, valid between two instants."""
        number = len(list(self.folder.glob("*.csr")))
        made = Certificate(self.folder / f"{number}.server.pem", self.folder / f"{number}.key")
        request, extension = self.folder / f"{number}.csr", self.folder / f"{number}.extension"
        extension.write_text(f"subjectAltName={names}\n", encoding="utf-8")
        _openssl("req", *_KEY, "-keyout", made.key, "-out", request, "-subj", f"/CN=server {number}")
        _openssl(
            "ca", "-batch", "-notext", "-config", self.folder / "configuration", "-create_serial", "-cert",
            self.own.pem, "-keyfile", self.own.key, "-in", request, "-extfile", extension, "-startdate", start,
            "-enddate", end, "-out", made.pem,
        )  # fmt: skip
        return made


def self_signed(folder: Path) -> Certificate:
    """A certificate of `localhost` that nobody else has signed."""
    made = Certificate(folder / "self.pem", folder / "self.key")
    _openssl(
        "req", "-x509", *_KEY, "-keyout", made.key, "-out", made.pem, "-days", "2", "-subj", "/CN=localhost",
        "-addext", f"subjectAltName={LOCAL}",
    )  # fmt: skip
    return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
