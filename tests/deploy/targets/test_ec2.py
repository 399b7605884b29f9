"""The template of EC2: linted, created, and what it created is what was ordered."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from modelwright.deploy.policy import Policy

Write = Callable[..., Path]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS")  # moto makes most kinds, not all
def test_the_linter_finds_nothing_and_the_stack_is_created(
    write: Write, templates: SimpleNamespace, tmp_path: Path
) -> None:
    template = write("ec2", policy=Policy(minimum=2, maximum=6)) / "ec2.yaml"
    assert templates.faults(template) == []
    with templates.account() as client:
        made = templates.created(client, template)
        group = client("autoscaling").describe_auto_scaling_groups()["AutoScalingGroups"][0]
        assert (group["MinSize"], group["MaxSize"]) == (2, 6)
        assert group["HealthCheckType"] == "ELB"
        versions = client("ec2").describe_launch_template_versions(
            LaunchTemplateId=made["Template"]
        )
        data = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
        assert data["InstanceType"] == "c7i.large"
        assert data["MetadataOptions"]["HttpTokens"] == "required"
        script = tmp_path / "start.sh"
        script.write_bytes(base64.b64decode(data["UserData"]))
        scaling = client("autoscaling")
        for name in ("ByRequests", "ByProcessor"):
            scaling.put_scaling_policy(
                PolicyName=name, **templates.properties(template, name, made)
            )
        policies = scaling.describe_policies()["ScalingPolicies"]
        tracked = {one["PolicyName"]: one["TargetTrackingConfiguration"] for one in policies}
        assert tracked["ByRequests"]["TargetValue"] == 9600.0
        assert tracked["ByProcessor"]["TargetValue"] == 76.0
        scaling.put_warm_pool(**templates.properties(template, "WarmPool", made))
        pool = scaling.describe_warm_pool(AutoScalingGroupName=made["Group"])[
            "WarmPoolConfiguration"
        ]
        assert (pool["PoolState"], pool["MinSize"]) == ("Stopped", 1)
        assert templates.alarm_thresholds(client, template, made)["TargetResponseTime"] == 0.05
    text = script.read_text()
    assert "--region 'eu-central-1'" in text
    assert "${" not in text
    assert "IMAGE='tiny:" in text
    assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0


@pytest.mark.parametrize(
    ("cores", "memory", "machine"),
    [(2, 300.0, "c7i.large"), (3, 300.0, "c7i.xlarge"), (2, 4000.0, "m7i.large"),
     (2, 9000.0, "r7i.large"), (96, 300.0, "c7i.24xlarge")],
)  # fmt: skip
def test_the_machine_is_the_smallest_that_is_enough(
    write: Write, cores: int, memory: float, machine: str
) -> None:
    text = (write("ec2", cores=cores, memory_mb=memory) / "ec2.yaml").read_text()
    assert f"Default: {machine}\n" in text
