"""A time-stamping authority on loopback: real certificates, and ``openssl ts`` that answers over HTTP."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_CONFIGURATION: Final = """
[tsa]
serial = {folder}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
"""
#: What an authority answers: status, media type, body.
Sent = tuple[int, str, bytes]
REPLY: Final = "application/timestamp-reply"


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass
class Authority:
    """An authority with a root of its own.

    Attributes:
        folder: Where its keys and certificates are.
        url: Its address.
        change: Makes of each right answer what is sent.
        requests: What was asked, in DER.
    """

    folder: Path
    url: str = ""
    change: Callable[[Sent], Sent] = lambda sent: sent
    requests: list[bytes] = field(default_factory=list)

    @property
    def roots(self) -> Path:
        """Its root certificate."""
        return self.folder / "root.pem"

    def make(self) -> None:
        """Makes keys and certificates; that of the signer is for time stamps alone."""
        self.folder.mkdir()
        root, signer = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.roots.write_bytes(self._certificate("A root", root.public_key(), root, is_root=True))
        certificate = self._certificate("An authority", signer.public_key(), root, is_root=False)
        (self.folder / "signer.pem").write_bytes(certificate)
        key = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (self.folder / "signer.key").write_bytes(key)
        (self.folder / "serial").write_text("01\n")
        (self.folder / "tsa.cnf").write_text(_CONFIGURATION.format(folder=self.folder))

    def _certificate(
        self, name: str, key: ec.EllipticCurvePublicKey, root: ec.EllipticCurvePrivateKey, *, is_root: bool
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(name))
            .issuer_name(_name("A root"))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=is_root, path_length=None), critical=True)
        )
        if not is_root:
            stamps = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
            builder = builder.add_extension(stamps, critical=True)
        return builder.sign(root, SHA256()).public_bytes(Encoding.PEM)

    def answer(self, query: bytes) -> Sent:
        """Returns the answer to a request, as openssl makes it."""
        self.requests.append(query)
        (self.folder / "query.tsq").write_bytes(query)
        names = {"queryfile": "query.tsq", "config": "tsa.cnf", "signer": "signer.pem", "inkey": "signer.key"}
        given = [part for name, file in names.items() for part in (f"-{name}", str(self.folder / file))]
        made = subprocess.run(
            ["openssl", "ts", "-reply", "-section", "tsa", "-out", str(self.folder / "reply.tsr"), *given],
            capture_output=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        return self.change((200, REPLY, (self.folder / "reply.tsr").read_bytes()))


@contextmanager
def authority(folder: Path) -> Iterator[Authority]:
    """Runs an authority."""
    one = Authority(folder)
    one.make()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            status, kind, body = one.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    one.url = f"http://127.0.0.1:{server.server_port}/tsa"
    try:
        yield one
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
