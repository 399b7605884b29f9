"""TLS from files, and new files while serving."""

from __future__ import annotations

import datetime
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from modelwright.errors import UserError
from modelwright.serve import Settings, create_app
from modelwright.serve._tls import Certificate
from modelwright.serve.stage import _config, bind, checked
from modelwright.testing.doubles import FakeBundle

DAY = datetime.timedelta(days=1)


def write_pair(folder: Path, name: str = "localhost", passphrase: bytes = b"") -> tuple[Path, Path]:
    """A self-signed certificate and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    cipher = (
        serialization.BestAvailableEncryption(passphrase)
        if passphrase
        else serialization.NoEncryption()
    )
    pem, form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (folder / "cert.pem").write_bytes(cert.public_bytes(pem))
    (folder / "key.pem").write_bytes(key.private_bytes(pem, form, cipher))
    return folder / "cert.pem", folder / "key.pem"


@contextmanager
def served(certificate: Certificate) -> Iterator[int]:
    import uvicorn

    listener = bind("127.0.0.1", 0)
    server = uvicorn.Server(_config(create_app([FakeBundle()]), Settings(), certificate))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def ask(port: int, trusted: Path) -> int:
    context = ssl.create_default_context(cafile=str(trusted))
    with httpx.Client(verify=context) as http:
        url = f"https://localhost:{port}/v1/predict"
        return http.post(url, json={"inputs": ["hello"]}).status_code


def test_it_speaks_tls_and_takes_up_renewed_files(tmp_path: Path):
    certificate = Certificate(*write_pair(tmp_path))
    old = tmp_path / "old.pem"
    old.write_bytes((tmp_path / "cert.pem").read_bytes())
    with served(certificate) as port:
        assert ask(port, old) == 200
        cert, _ = write_pair(tmp_path)
        assert certificate.refresh()
        assert ask(port, cert) == 200
        with pytest.raises(httpx.ConnectError):
            ask(port, old)


def test_half_a_new_pair_leaves_the_old_one(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    cert, key = write_pair(tmp_path)
    certificate = Certificate(cert, key)
    assert not certificate.refresh()
    whole = cert.read_bytes()
    with served(certificate) as port:
        cert.write_bytes(b"nothing")
        assert not certificate.refresh()
        cert.write_bytes(whole)
        assert ask(port, cert) == 200


def test_files_that_cannot_be_used_are_told_before_serving(tmp_path: Path):
    cert, key = write_pair(tmp_path)
    for settings, code in (
        (Settings(tls_cert=cert), "MW-805"),
        (Settings(tls_key=key), "MW-805"),
        (Settings(tls_cert=cert, tls_key=tmp_path / "none.pem"), "MW-713"),
        (Settings(tls_cert=key, tls_key=cert), "MW-713"),
    ):
        with pytest.raises(UserError, match=code):
            checked(settings)
    secret = write_pair(tmp_path, passphrase=b"secret")
    with pytest.raises(UserError, match="passphrase"):
        Certificate(*secret)


def test_old_versions_of_tls_are_refused(tmp_path: Path):
    context = Certificate(*write_pair(tmp_path)).context
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
