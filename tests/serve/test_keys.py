"""Keys: who may ask for what, how much, and that nothing but the probes is open without one."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from modelwright.cli import main as cli
from modelwright.errors import UserError
from modelwright.serve import Settings, _keys, create_app
from modelwright.serve._keys import Bucket, KeyRing, new_key, read_keys, write_keys
from modelwright.serve.problems import ServiceError
from modelwright.serve.stage import checked, is_loopback
from modelwright.testing.doubles import FakeBundle

BODY = {"inputs": ["hello"]}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def made(file: Path, *scopes: str, rate: float = 0.0) -> str:
    text, key = new_key("alice", scopes or ("predict",), rate, "2026-01-01T00:00:00Z")
    write_keys(file, [*read_keys(file), key])
    return text


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def told(response: Any, status: int, code: str) -> dict[str, Any]:
    document = response.json()
    assert (response.status_code, document["code"]) == (status, code), document
    return document


# -- every route ----------------------------------------------------------------------------------
def test_only_the_probes_answer_without_a_key(file: Path):
    made(file)
    app = create_app([FakeBundle()], Settings(keys=file))
    with TestClient(app) as opened:
        for route in app.routes:
            path = route.path.replace("{name}", "fake")
            for method in (*route.methods, "OPTIONS"):
                response = opened.request(method, path)
                if path.startswith(("/health/", "/v2/health/")):
                    assert response.status_code in (200, 204)
                else:
                    assert response.status_code == 401, (method, path)
                    assert response.headers["www-authenticate"].startswith("Basic")
        told(opened.get("/nothing"), 401, "MW-708")
        told(opened.get("/openapi.json"), 401, "MW-708")


@pytest.mark.parametrize(
    ("scopes", "allowed"),
    [(("predict",), {"/", "/v1/models", "/openapi.json"}), (("metrics",), {"/metrics"})],
)
def test_a_key_does_what_its_scopes_say(file: Path, scopes: tuple[str, ...], allowed: set[str]):
    key = made(file, *scopes)
    with TestClient(create_app([FakeBundle()], Settings(keys=file)), headers=bearer(key)) as opened:
        for path in ("/", "/v1/models", "/openapi.json", "/metrics"):
            response = opened.get(path)
            if path in allowed:
                assert response.status_code == 200
            else:
                assert "scope" in told(response, 403, "MW-708")["detail"]
        status = opened.post("/v1/predict", json=BODY).status_code
        assert status == (200 if "predict" in scopes else 403)
        told(opened.get("/nothing"), 404, "MW-703")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda key: {},
        lambda key: bearer(""),
        lambda key: bearer(key[:-1]),
        lambda key: bearer(key + "x"),
        lambda key: bearer(key.replace("mw_", "mw_0", 1)),
        lambda key: bearer("mw__"),
        lambda key: {"authorization": f"Digest {key}"},
        lambda key: {"authorization": "Basic !!!"},
        lambda key: {"authorization": b"Bearer \xff\xfe"},
        lambda key: {"x-api-key": key.upper()},
        lambda key: {**basic(key), "sec-fetch-site": "cross-site"},
    ],
)
def test_anything_but_the_whole_key_is_refused(file: Path, wrong: Any):
    key = made(file)
    with TestClient(create_app([FakeBundle()], Settings(keys=file))) as opened:
        told(opened.post("/v1/predict", json=BODY, headers=wrong(key)), 401, "MW-708")


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{key}".encode()).decode()}


def test_a_key_may_come_in_three_ways(file: Path):
    key = made(file)
    with TestClient(create_app([FakeBundle()], Settings(keys=file))) as opened:
        for headers in (bearer(key), {"x-api-key": key}, basic(key)):
            assert opened.post("/v1/predict", json=BODY, headers=headers).status_code == 200


def test_every_compare_is_of_digests_in_constant_time(file: Path, monkeypatch: pytest.MonkeyPatch):
    key = made(file)
    compared: list[tuple[int, int]] = []
    compare = _keys.hmac.compare_digest

    def watch(given: str, kept: str) -> bool:
        compared.append((len(given), len(kept)))
        return compare(given, kept)

    monkeypatch.setattr(_keys.hmac, "compare_digest", watch)
    ring = KeyRing(file)
    ring.check(bearer(key), "predict")
    for wrong in ("", "x", "mw_00000000_secret", key + "y"):
        with pytest.raises(ServiceError):
            ring.check(bearer(wrong), "predict")
    assert compared == [(64, 64)] * 5


def test_the_schema_says_where_a_key_is_needed(file: Path):
    from openapi_spec_validator import validate

    key = made(file)
    with TestClient(create_app([FakeBundle()], Settings(keys=file)), headers=bearer(key)) as opened:
        document = opened.get("/openapi.json").json()
    validate(document)
    assert {"bearer": []} in document["security"]
    for path, item in document["paths"].items():
        for operation in item.values():
            assert (operation.get("security") == []) is path.startswith("/health/")


# -- rates ----------------------------------------------------------------------------------------
def test_a_list_counts_as_many_inputs_and_what_is_too_much_is_429(file: Path):
    key = made(file, rate=10)
    with TestClient(create_app([FakeBundle()], Settings(keys=file)), headers=bearer(key)) as opened:
        assert opened.post("/v1/predict", json={"inputs": ["a"] * 100}).status_code == 200
        response = opened.post("/v1/predict", json=BODY)
        assert "10 inputs a second" in told(response, 429, "MW-711")["detail"]
        assert 9 <= int(response.headers["retry-after"]) <= 10
        assert opened.get("/health/ready").status_code == 200


def test_a_bucket_fills_at_its_rate_and_never_beyond_a_second():
    bucket = Bucket(2.0)
    assert [bucket.spend(1, 100.0) for _ in range(2)] == [0.0, 0.0]
    assert bucket.spend(1, 100.0) == pytest.approx(0.5)
    assert bucket.spend(1, 100.5) == 0.0
    assert [bucket.spend(1, 900.0) > 0 for _ in range(3)] == [False, False, True]
    slow = Bucket(0.1)
    assert slow.spend(1, 0.0) == 0.0
    assert slow.spend(1, 5.0) == pytest.approx(5.0)
    assert slow.spend(1, 10.0) == 0.0


# -- the file -------------------------------------------------------------------------------------
def test_the_file_holds_hashes_and_only_its_owner_reads_it(file: Path):
    key = made(file)
    assert key.split("_", 2)[2] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_are_revoked_and_added_while_serving(file: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_keys, "LOOK_S", 0.0)
    old = made(file)
    ring = KeyRing(file)
    ring.check(bearer(old), "predict")
    file.unlink()
    new = made(file)
    ring.check(bearer(new), "predict")
    with pytest.raises(ServiceError):
        ring.check(bearer(old), "predict")
    file.write_text("{")
    os.utime(file, (1, 1))
    ring.check(bearer(new), "predict")
    file.unlink()
    ring.check(bearer(new), "predict")


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema": 2, "keys": []}',
        '{"schema": 1, "keys": []}',
        '{"schema": 1, "keys": [{"id": "a"}]}',
        '{"schema": 1, "keys": [{"id": "a", "name": "b", "sha256": "", "scopes": ["root"]}]}',
        '{"schema": 1, "keys": [{"id": "a", "name": "b", "sha256": "c", "scopes": []}]}',
    ],
)
def test_a_file_without_usable_keys_is_told_before_serving(file: Path, content: str):
    file.write_text(content)
    with pytest.raises(UserError, match="MW-713"):
        checked(Settings(keys=file))


def test_beyond_loopback_keys_are_needed(file: Path):
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.com"):
        assert not is_loopback(host)
        with pytest.raises(UserError, match="MW-712"):
            checked(Settings(host=host))
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        assert is_loopback(host)
        checked(Settings(host=host))
    made(file)
    checked(Settings(host="0.0.0.0", keys=file))


def test_mw_keys_makes_lists_and_revokes(file: Path, capsys: pytest.CaptureFixture[str]):
    def run(*words: str) -> tuple[int, Any]:
        code = cli.run(["keys", *words, "--file", str(file), "--json"])
        return code, json.loads(capsys.readouterr().out)

    code, added = run("add", "alice", "--scope", "predict", "--scope", "metrics", "--rate", "5")
    assert (code, added["scopes"]) == (0, ["predict", "metrics"])
    ring = KeyRing(file)
    assert ring.check(bearer(added["key"]), "metrics").name == "alice"
    _, listed = run("list")
    assert listed["keys"][0]["id"] == added["id"]
    assert "sha256" not in listed["keys"][0]
    assert run("add", "bob", "--scope", "predct")[0] == 2
    assert run("revoke", "nobody")[0] == 2
    assert run("revoke", added["id"])[0] == 0
    assert run("list")[1]["keys"] == []
