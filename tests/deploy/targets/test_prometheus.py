"""What watches a service, alone: files that Prometheus' own tools accept, as they are written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from modelwright.artifacts.bundle import read_bundle
from modelwright.artifacts.capacity import Capacity, Load
from modelwright.cli.main import run
from modelwright.deploy.policy import Policy
from modelwright.testing.watched import check, program


@pytest.fixture(scope="module")
def written(tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prometheus")
    manifest = read_bundle(tiny_bundle)
    Capacity(
        bundle=manifest["name"], version=manifest["version"], variant=manifest["default"],
        machine="a processor", cores=2, slo_p99_ms=40.0, per_second=200.0, memory_mb=300.0,
        ready_seconds=2.5, loads=(Load(200.0, 1.0, 9.0, 35.0, 1.5, 1.72),),
    ).save(folder / "capacity.json")  # fmt: skip
    Policy(maximum=7).save(folder / "policy.json")
    command = (
        f"deploy {tiny_bundle} --target prometheus -o {folder / 'out'} --capacity "
        f"{folder / 'capacity.json'} --policy {folder / 'policy.json'} "
        "--alerts http://localhost:9095/alerts"
    )
    assert run(command.split()) == 0
    return folder / "out"


def test_it_holds_rules_tests_routes_a_dashboard_and_a_page_for_each_alert(written: Path):
    rules = yaml.safe_load((written / "rules.yml").read_text())
    alerts = [r for g in rules["groups"] for r in g["rules"] if "alert" in r]
    assert len(alerts) > 30
    for alert in alerts:
        assert (written / alert["annotations"]["runbook_url"]).is_file()
    board = json.loads((written / "dashboards" / "tiny.json").read_text())
    assert board["title"] == "Modelwright: tiny"
    routes = yaml.safe_load((written / "alertmanager.yml").read_text())
    assert routes["receivers"][0]["webhook_configs"][0]["url"] == "http://localhost:9095/alerts"


def test_the_promise_and_the_policy_are_in_the_rules(written: Path):
    rules = (written / "rules.yml").read_text()
    assert 'le=~\\"0\\\\.04\\"' in rules or 'le=~"0\\\\.04"' in rules
    assert ">= 7" in rules


def test_the_monitor_is_scraped_where_the_recipe_records(
    written: Path, write: Callable[..., Path], recording: Path
):
    """Elsewhere there is no monitor, and an alert that it is down would never end."""

    def jobs(folder: Path) -> dict[str, str]:
        config = yaml.safe_load((folder / "prometheus.yml").read_text())["scrape_configs"]
        return {one["job_name"]: one["static_configs"][0]["targets"][0] for one in config}

    assert jobs(written) == {"tiny": "localhost:8000"}
    folder = write("prometheus", of=recording)
    assert jobs(folder) == {"tiny": "localhost:8000", "tiny-monitor": "localhost:9109"}
    assert "--every 1800 --port 9109" in (folder / "README.md").read_text()


@pytest.mark.skipif(program("promtool") is None, reason="needs promtool and amtool")
def test_prometheus_own_tools_accept_every_file(written: Path):
    assert "SUCCESS" in check("promtool", "check", "config", str(written / "prometheus.yml"))
    assert "SUCCESS" in check("amtool", "check-config", str(written / "alertmanager.yml"))
    assert "SUCCESS" in check("promtool", "check", "rules", str(written / "rules.yml"))


@pytest.mark.skipif(program("promtool") is None, reason="needs promtool")
def test_the_tests_of_the_rules_pass_as_they_are_written(written: Path):
    """One alert of each group here; tests/deploy/watching runs them all."""
    told = ("AvailabilityBurnFast", "LatencyBurnSlow", "ScaleAtMax", "NoProgress", "QualityDrop")
    tests = yaml.safe_load((written / "rules_test.yml").read_text())
    tests["tests"] = [one for one in tests["tests"] if one["name"].split()[0] in told]
    assert len(tests["tests"]) == 2 * len(told)
    some = written / "some_test.yml"
    some.write_text(yaml.safe_dump(tests))
    assert "SUCCESS" in check("promtool", "test", "rules", str(some))
    some.unlink()
