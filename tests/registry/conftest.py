"""Registries to push to: a folder, a bucket behind moto's server, MLflow over sqlite."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelwright.artifacts.bundle import seal_bundle
from modelwright.runtime.files import read_json
from modelwright.testing.doubles import FakeBundle


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A bucket behind moto's server on loopback; the environment points s3fs to it."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    import boto3

    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        boto3.client("s3").create_bucket(Bucket="models")
        yield "s3://models"
    server.stop()


@pytest.fixture
def make_bundle() -> Callable[..., Path]:
    return _make_bundle


@pytest.fixture
def make_keys() -> Callable[[Path, str], tuple[Path, Path]]:
    return _make_keys


def _make_bundle(folder: Path, *labels: str, name: str = "intents") -> Path:
    """A sealed bundle without a model, of other content for other labels."""
    FakeBundle(labels or ("a", "b"), name=name).save(folder)
    manifest = read_json(folder / "bundle.json")
    manifest["name"] = name
    seal_bundle(folder, manifest)
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return _make_bundle(tmp_path / "bundle")


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return _make_keys(tmp_path, "key")


def _make_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """An elliptic curve key in PEM, and its public half."""
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    plain = form.NoEncryption()
    private.write_bytes(key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, plain))
    public.write_bytes(
        key.public_key().public_bytes(form.Encoding.PEM, form.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public
