"""What the tests of sources share: opening a format, real data, PostgreSQL, an S3 API."""

from __future__ import annotations

import glob
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from modelwright import plugs
from modelwright.data.sources import BrokenRow, RawRow, Source

Opener = Callable[..., Source]


@pytest.fixture
def open_as() -> Opener:
    """open_as("csv", path, header=False) -> Source."""

    def open_it(format: str, location: Path | str, **options: Any) -> Source:
        plug = plugs.load("source", format)
        return plug.cls(str(location), plug.config(**options))

    return open_it


@pytest.fixture
def read(open_as: Opener) -> Callable[..., tuple[list[RawRow], list[BrokenRow]]]:
    """read("csv", path) -> (good rows, broken rows); checks that numbers rise by one."""

    def read_it(
        format: str, location: Path | str, **options: Any
    ) -> tuple[list[RawRow], list[BrokenRow]]:
        rows = list(open_as(format, location, **options).rows())
        assert [row.number for row in rows] == list(range(len(rows)))
        good = [row for row in rows if isinstance(row, RawRow)]
        return good, [row for row in rows if isinstance(row, BrokenRow)]

    return read_it


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared folder of small real data sets."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    folder = Path(os.environ.get("MODELWRIGHT_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; set MODELWRIGHT_TEST_DATA")
    return folder


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """A bucket behind moto's server on loopback; the environment points s3fs to it."""
    pytest.importorskip("s3fs")
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    patch = pytest.MonkeyPatch()
    patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    patch.setenv("AWS_ACCESS_KEY_ID", "testing")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    import boto3

    boto3.client("s3").create_bucket(Bucket="rows")
    yield "s3://rows"
    patch.undo()
    server.stop()


def _postgres_programs() -> Path | None:
    found = sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb"))
    program = shutil.which("initdb") or (found[-1] if found else None)
    return Path(program).parent if program else None


def _as_postgres(*command: str) -> None:
    """Run as the user postgres where we are root, which initdb refuses."""
    if os.geteuid() == 0:
        command = ("runuser", "-u", "postgres", "--", *command)
    subprocess.run(
        command,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
        timeout=120,
        cwd="/",
    )


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a private PostgreSQL cluster that lives for the session."""
    programs = _postgres_programs()
    if programs is None:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed: apt-get install postgresql")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="modelwright-postgres-", dir="/tmp"))
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    secret = folder / "secret"
    secret.write_text("s3cret-word")
    secret.chmod(0o644)
    cluster = str(folder / "cluster")
    initdb = [str(programs / "initdb"), "-D", cluster, "-U", "reader", "--auth=scram-sha-256"]
    _as_postgres(*initdb, f"--pwfile={secret}", "--encoding=UTF8", "--no-sync", "--locale=C")
    options = f"-p {port} -h 127.0.0.1 -k {folder} -c fsync=off"
    control = [str(programs / "pg_ctl"), "-D", cluster, "-w"]
    _as_postgres(*control, "-o", options, "-l", str(folder / "log"), "start")
    yield f"postgresql://reader:s3cret-word@127.0.0.1:{port}/postgres"
    _as_postgres(*control, "-m", "immediate", "stop")
    shutil.rmtree(folder, ignore_errors=True)
