"""Rules, their tests, runbooks and alert routes: valid for Prometheus' own tools, whatever is promised."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from modelwright.deploy import watching
from modelwright.errors import UserError
from modelwright.recipe.schema import Slo
from modelwright.testing.watched import check, program

MANIFEST = {"name": "Support-Intents", "serve": {"deadline_ms": 2000}}
SLO = Slo(p99_ms=50.0)
TABLE = """
AvailabilityBurnFast AvailabilityBurnSlow AvailabilityBurnTicket
LatencyBurnFast LatencyBurnSlow LatencyBurnTicket LatencyPromiseUnmeasured
Shedding SheddingHeavy QueueSaturation QueueWaitLong ScaleAtMax
NoProgress NoReadyReplica TargetDown WorkerRestarts MemoryNearLimit MemoryWillRunOut
BatchEfficiencyLow PaddingWaste
CanaryWorse CanarySlower CanaryWithdrawn PackageVerifyFailed
InputDrift PredictionDrift EmbeddingDrift DriftJobStale MonitorDown QualityDrop EstimatedQualityLow
AuthFailuresSpike CertificateExpiry TooManySeries ScrapesFail
"""
needs_prometheus = pytest.mark.skipif(program("promtool") is None, reason="needs promtool")


def write(folder: Path, slo: Slo = SLO, most: int | None = None) -> Path:
    (folder / "rules.yml").write_text(json.dumps(watching.rules(MANIFEST, slo, most)))
    tests = watching.rule_tests(MANIFEST, slo, most)
    (folder / "rules_test.yml").write_text(json.dumps(tests))
    return folder


def alerts(rules: dict[str, Any]) -> dict[str, dict[str, Any]]:
    found = [rule for group in rules["groups"] for rule in group["rules"] if "alert" in rule]
    return {rule["alert"]: rule for rule in found}


def test_every_alert_of_the_table_is_there_with_its_page_and_severity():
    found = alerts(watching.rules(MANIFEST, SLO))
    pages = watching.runbooks(MANIFEST, SLO)
    assert sorted(found) == sorted(TABLE.split())
    for name, rule in found.items():
        assert rule["labels"]["severity"] in ("page", "ticket", "info")
        assert rule["labels"]["model"] == "Support-Intents"
        assert rule["annotations"]["runbook_url"] == f"runbooks/{name}.md"
        page = pages[f"{name}.md"]
        for title in ("What it means", "First look", "Likely causes", "What to do", "The rule"):
            assert f"## {title}" in page
        assert name in pages["README.md"]


def test_alerts_that_call_for_a_new_model_say_so():
    found = alerts(watching.rules(MANIFEST, SLO))
    renewing = {name for name, rule in found.items() if rule["labels"].get("action") == "renew"}
    drifting = {"InputDrift", "PredictionDrift", "EmbeddingDrift"}
    assert renewing == drifting | {"QualityDrop", "EstimatedQualityLow"}


@needs_prometheus
@pytest.mark.timeout(300)
def test_each_alert_fires_when_it_should_and_not_when_it_should_not(tmp_path: Path):
    folder = write(tmp_path)
    assert "SUCCESS" in check("promtool", "check", "rules", str(folder / "rules.yml"))
    assert "SUCCESS" in check("promtool", "test", "rules", str(folder / "rules_test.yml"))


@needs_prometheus
def test_a_rule_that_does_not_fire_fails_its_test(tmp_path: Path):
    folder = write(tmp_path)
    broken = watching.rules(MANIFEST, SLO)
    alerts(broken)["QueueSaturation"]["expr"] = "vector(0) > 1"
    (folder / "rules.yml").write_text(json.dumps(broken))
    kept = watching.rule_tests(MANIFEST, SLO)
    kept["tests"] = [one for one in kept["tests"] if one["name"].startswith("QueueSaturation")]
    (folder / "rules_test.yml").write_text(json.dumps(kept))
    with pytest.raises(AssertionError, match="QueueSaturation"):
        check("promtool", "test", "rules", str(folder / "rules_test.yml"))


PROMISES = [
    Slo(p99_ms=1000.0, availability=0.9, window_days=7),
    Slo(p99_ms=2.5, availability=0.99999, window_days=90),
    Slo(),
]


@needs_prometheus
@pytest.mark.parametrize("slo", PROMISES, ids=lambda slo: f"{slo.availability}")
def test_other_promises_give_rules_that_pass_their_tests(slo: Slo, tmp_path: Path):
    folder = write(tmp_path, slo, most=6)
    check("promtool", "check", "rules", str(folder / "rules.yml"))
    kept = watching.rule_tests(MANIFEST, slo, 6)
    told = ("Burn", "ScaleAtMax", "LatencyPromise")
    kept["tests"] = [one for one in kept["tests"] if any(word in one["name"] for word in told)]
    (folder / "rules_test.yml").write_text(json.dumps(kept))
    check("promtool", "test", "rules", str(folder / "rules_test.yml"))


def test_a_month_of_three_nines_burns_at_14_times_the_pace():
    found = alerts(watching.rules(MANIFEST, Slo(availability=0.999, window_days=30)))
    for name, limit in (("Fast", "0.0144"), ("Slow", "0.006"), ("Ticket", "0.001")):
        assert f"> {limit}\n" in found[f"AvailabilityBurn{name}"]["expr"]
    assert "> 0.144\n" in found["LatencyBurnFast"]["expr"]


def test_every_series_that_a_rule_asks_for_is_told_by_the_service_or_the_monitor():
    from modelwright.serve._metrics import Metrics

    metrics = Metrics()
    metrics.certificate(lambda: 0.0)
    metrics.tell_roles(list)
    told = set(re.findall(r"^# HELP (\w+)", metrics.expose()[0].decode(), re.MULTILINE))
    ends = r"(_total|_bucket|_count|_sum)$"
    told = {re.sub(ends, "", name) for name in told}
    monitor = {
        "modelwright_" + name
        for name in (
            "drift_score", "drift_rows", "monitor_last_run_timestamp_seconds",
            "monitor_period_seconds", "live_quality", "live_quality_low", "live_quality_high",
            "quality_floor", "estimated_quality",
        )
    }  # fmt: skip
    exprs = [rule["expr"] for rule in alerts(watching.rules(MANIFEST, SLO)).values()]
    board = watching.dashboard(MANIFEST, SLO)
    exprs += [t["expr"] for panel in board["panels"] for t in panel.get("targets", ())]
    asked = {
        re.sub(ends, "", name)
        for expr in exprs
        for name in re.findall(r"\b(modelwright_\w+)", expr)
    }
    assert asked - told - monitor == set()


@pytest.mark.parametrize("name", ["", "a b", "名字", 'x"} or vector(1)', "a\n- b", "x" * 65, "🙂"])
def test_a_name_that_could_break_a_rule_is_refused(name: str):
    for make in (watching.rules, watching.rule_tests, watching.dashboard, watching.runbooks):
        with pytest.raises(UserError, match="MW-630"):
            make({"name": name}, SLO)


@pytest.mark.skipif(program("amtool") is None, reason="needs amtool")
@pytest.mark.parametrize("url", [None, "http://127.0.0.1:9094/alerts"])
def test_alertmanager_takes_the_configuration(url: str | None, tmp_path: Path):
    file = tmp_path / "alertmanager.yml"
    file.write_text(json.dumps(watching.alertmanager(url)))
    assert "SUCCESS" in check("amtool", "check-config", str(file))


@pytest.mark.parametrize(
    "url", ["localhost:9094", "ftp://host/", "http://", "http://a b/", "http://h:99999/", "网://x"]
)
def test_an_address_that_is_no_webhook_is_refused(url: str):
    with pytest.raises(UserError, match="MW-631"):
        watching.alertmanager(url)


def test_a_faster_clock_changes_times_and_nothing_else():
    slow = watching.rules(MANIFEST, SLO)
    fast = watching.hastened(slow, 60, least=2)
    assert watching.hastened(slow, 1, least=0.001)["groups"][0]["name"] == slow["groups"][0]["name"]
    before, after = alerts(slow), alerts(fast)
    assert "[10000ms]" in after["BatchEfficiencyLow"]["expr"]
    assert after["BatchEfficiencyLow"]["for"] == "15000ms"
    assert "[2000ms]" in after["NoProgress"]["expr"]
    for name, rule in before.items():
        assert re.sub(r"\[\w+\]", "[]", rule["expr"]) == re.sub(
            r"\[\w+\]", "[]", after[name]["expr"]
        )


def test_the_page_on_watching_names_every_alert_and_metric():
    from modelwright.serve._metrics import Metrics

    page = (Path(__file__).parents[3] / "docs" / "watching.md").read_text()
    for name, rule in alerts(watching.rules(MANIFEST, SLO)).items():
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}`"))
        assert f"| {rule['labels']['severity']} |" in row
        assert f"| {rule.get('for', 'at once')} |" in row
        assert ("*renew*" in row) is ("action" in rule["labels"])
    metrics = Metrics()
    metrics.certificate(lambda: 0.0)
    metrics.tell_roles(list)
    told = re.findall(r"^# HELP (\w+)", metrics.expose()[0].decode(), re.MULTILINE)
    missing = [one for one in told if f"`{one}`" not in page and not one.endswith("_created")]
    assert not missing
