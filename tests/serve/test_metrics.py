"""What the service tells Prometheus: why it refuses, how full it is, what it costs to count."""

from __future__ import annotations

import math
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from modelwright.runtime.process import age, memory_limit
from modelwright.serve import Settings, create_app
from modelwright.serve._keys import new_key, write_keys
from modelwright.serve._metrics import Metrics, promised_s
from modelwright.serve._tls import end_of
from modelwright.testing.doubles import FakeBundle


def told(client: TestClient, **headers: str) -> dict[str, float]:
    """Every sample by its name and labels, versions apart."""
    text = client.get("/metrics", headers=headers).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(
                f"{name}={value}" for name, value in sorted(sample.labels.items())
                if name not in ("version", "le")
            )  # fmt: skip
            key = sample.name.removeprefix("modelwright_") + (f"{{{labels}}}" if labels else "")
            found[key] = sample.value
    return found


def ask(client: TestClient, *inputs: str, **headers: str) -> Any:
    return client.post("/v1/predict", json={"inputs": list(inputs)}, headers=headers)


def test_every_reason_is_told_as_zero_before_it_happens(tmp_path: Path):
    with TestClient(create_app([FakeBundle().save(tmp_path)])) as client:
        ask(client, "hello")
        found = told(client)
    for reason in ("inputs", "tokens", "bytes", "late", "stopping", "not-ready"):
        assert found[f"shed_total{{model=fake,reason={reason}}}"] == 0
    assert found["shed_total{model=,reason=rate}"] == 0
    assert found["auth_failures_total{reason=key}"] == 0
    assert found["verify_failures_total{reason=files}"] == 0
    assert found["canary_withdrawn_total{model=fake}"] == 0
    for code, count in (("200", 1), ("500", 0), ("503", 0), ("504", 0)):
        assert found[f"requests_total{{code={code},model=fake,route=/v1/predict}}"] == count


def test_refusals_are_counted_by_what_was_full(tmp_path: Path):
    go = threading.Event()
    bundle = FakeBundle(fails=lambda text: text == "held" and not go.wait(30)).save(tmp_path)
    settings = Settings(max_queue_items=4)
    with TestClient(create_app([bundle], settings)) as client:
        busy = threading.Thread(target=lambda: ask(client, *["held"] * 4))
        busy.start()
        until(client, "requests_in_flight{model=fake}", 1)
        found = told(client)
        refused = ask(client, "one more").status_code
        go.set()
        busy.join()
        assert refused == 503
        after = told(client)
    assert found["inputs_in_flight{model=fake}"] == found["queue_capacity{model=fake}"] == 4
    assert found["queue_used{model=fake}"] == 1
    assert after["shed_total{model=fake,reason=inputs}"] == 1
    assert after["requests_in_flight{model=fake}"] == after["queue_used{model=fake}"] == 0


def until(client: TestClient, name: str, value: float) -> None:
    end = time.monotonic() + 20
    while told(client)[name] != value:
        assert time.monotonic() < end, name


def test_refused_keys_and_rates_are_counted_apart(tmp_path: Path):
    texts = [new_key(name, scopes, rate, "") for name, scopes, rate in (
        ("a", ("predict",), 1.0), ("b", ("feedback", "metrics"), 0.0))]  # fmt: skip
    write_keys(tmp_path / "keys.json", [key for _, key in texts])
    (good, _), (other, _) = texts
    bundle = FakeBundle().save(tmp_path / "bundle")
    with TestClient(create_app([bundle], Settings(keys=tmp_path / "keys.json"))) as client:
        assert ask(client, "a", **{"x-api-key": "mw_x_y"}).status_code == 401
        assert ask(client, "a").status_code == 401
        assert ask(client, "a", **{"x-api-key": other}).status_code == 403
        assert ask(client, "a", "b", "c", **{"x-api-key": good}).status_code == 200
        assert ask(client, "a", **{"x-api-key": good}).status_code == 429
        found = told(client, **{"x-api-key": other})
    assert found["auth_failures_total{reason=key}"] == 2
    assert found["auth_failures_total{reason=scope}"] == 1
    assert found["shed_total{model=,reason=rate}"] == 1


def test_tokens_padding_and_lengths_of_rows_are_counted(tmp_path: Path):
    bundle = FakeBundle().save(tmp_path)
    lengths = [
        len(one["input_ids"]) for one in bundle.encode(["hi", "a much longer text than that"])
    ]
    with TestClient(create_app([bundle])) as client:
        for text in ("hi", "a much longer text than that"):
            assert ask(client, text).status_code == 200
        found = told(client)
    assert found["tokens_total{model=fake}"] == sum(lengths)
    assert found["input_tokens_sum{model=fake}"] == sum(lengths)
    assert found["input_tokens_count{model=fake}"] == 2
    assert found["padding_tokens_total{model=fake}"] == 0
    assert found["batch_rows{model=fake}"] == min(bundle.limits.rows, Settings().max_batch)


def test_requests_are_counted_by_what_the_bundle_promises(tmp_path: Path):
    bundle = FakeBundle().save(tmp_path)
    bundle.manifest["serve"] = {"slo": {"p99_ms": 42.0}}
    with TestClient(create_app([bundle])) as client:
        ask(client, "hello")
        text = client.get("/metrics").text
    assert 'le="0.042"' in text
    assert [promised_s(m) for m in ({}, {"serve": {"slo": {"p99_ms": 7}}})] == [0.1, 0.007]
    for bad in ("fast", -1, math.nan, None):
        assert promised_s({"serve": {"slo": {"p99_ms": bad}}}) == 0.1


def test_the_process_tells_its_memory_and_what_it_may_have(tmp_path: Path):
    with TestClient(create_app([FakeBundle().save(tmp_path)])) as client:
        found = told(client)
    used, limit = found["process_resident_memory_bytes"], found["memory_limit_bytes"]
    assert 0 < used < limit
    assert found["process_cpu_seconds_total"] > 0


def group(root: Path, own: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(own)
    for name, content in files.items():
        (root / "sys/fs/cgroup" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "sys/fs/cgroup" / name).write_text(content)
    return root


def test_the_limit_of_memory_is_the_control_groups(tmp_path: Path):
    machine = memory_limit(tmp_path / "nothing")
    for number, (own, files, limit) in enumerate((
        ("0::/a/b\n", {"a/b/memory.max": "104857600\n"}, 104857600),
        ("0::/\n", {"memory.max": "52428800\n"}, 52428800),
        ("0::/a\n", {"a/memory.max": "max\n"}, machine),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, machine),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "1048576\n"}, 1048576),
        ("0::/a\n", {"a/memory.max": "half\n"}, machine),
    )):  # fmt: skip
        assert memory_limit(group(tmp_path / str(number), own, files)) == limit


def test_the_age_of_a_process_is_its_own():
    first = age()
    assert first is None or 0 < first < 100_000


def test_the_end_of_a_certificate_is_read_as_openssl_reads_it(tmp_path: Path):
    cert = tmp_path / "cert.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=a -keyout key.pem -out"
    subprocess.run([*command.split(), cert], cwd=tmp_path, check=True, capture_output=True)
    seconds = end_of(cert.read_text())
    assert 8.9 < (seconds - time.time()) / 86_400 < 9.1
    decoded = ssl._ssl._test_decode_cert(str(cert))["notAfter"]  # type: ignore[attr-defined]
    assert seconds == ssl.cert_time_to_seconds(decoded)
    for broken in ("", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----", "名字"):
        assert math.isnan(end_of(broken))


@pytest.mark.parametrize("share", [0.25])
def test_roles_and_their_shares_are_told(share: float, tmp_path: Path):
    app: Any = create_app([FakeBundle().save(tmp_path)])
    slot = app.service.slots["fake"]
    with TestClient(app) as client:
        assert told(client)["traffic_share{model=fake,role=stable}"] == 1
        slot.start_canary(app.service.served(FakeBundle(("x", "y"))), share)
        found = told(client)
        assert found["traffic_share{model=fake,role=canary}"] == share
        assert found["traffic_share{model=fake,role=stable}"] == 1 - share


def test_what_a_side_of_a_trial_fails_is_counted_whoever_answers(tmp_path: Path):
    app: Any = create_app([FakeBundle().save(tmp_path)])
    slot = app.service.slots["fake"]
    failing = FakeBundle(("x", "y"), fails=lambda text: text == "poison")
    with TestClient(app) as client:
        slot.start_canary(app.service.served(failing), 1.0)
        assert ask(client, "poison").status_code == 200
        found = told(client)
    assert found["trial_requests_total{model=fake,outcome=failed,role=canary}"] == 1
    assert found["trial_requests_total{model=fake,outcome=ok,role=stable}"] == 1
    assert found["trial_seconds_count{model=fake,role=canary}"] == 1


def test_no_word_of_a_caller_becomes_a_label(tmp_path: Path):
    with TestClient(create_app([FakeBundle().save(tmp_path)])) as client:
        for path in ("/v1/nothing-like-it", "/v2/models/gotcha/infer"):
            client.post(path, json={}, headers={"x-api-key": "mw_gotcha_x"})
        ask(client, "gotcha")
        assert "gotcha" not in client.get("/metrics").text
        assert "nothing-like-it" not in client.get("/metrics").text


def test_counting_a_call_takes_microseconds():
    from modelwright.serve._metrics import ModelMeters

    metrics = Metrics()
    meters = ModelMeters(FakeBundle().manifest, {"name": "a"}, metrics)
    rounds, best = 300, math.inf
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(rounds):
            meters.read([12], 12)
        best = min(best, (time.perf_counter() - began) / rounds)
    assert best < 50e-6
