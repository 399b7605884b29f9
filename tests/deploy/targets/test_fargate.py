"""The template of Fargate: linted, created, and what it created is what was ordered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from modelwright.deploy.policy import Policy
from modelwright.errors import UserError

Write = Callable[..., Path]


@pytest.mark.filterwarnings("ignore:Tried to parse AWS")  # moto makes most kinds, not all
def test_the_linter_finds_nothing_and_the_stack_is_created(
    write: Write, templates: SimpleNamespace
) -> None:
    template = write("fargate", policy=Policy(minimum=3, maximum=9)) / "fargate.yaml"
    assert templates.faults(template) == []
    with templates.account() as client:
        made = templates.created(client, template)
        _scaled(templates, client, template, made)
        ecs = client("ecs")
        task = ecs.register_task_definition(
            **templates.lowered(templates.properties(template, "Task", made))
        )
        assert (task["taskDefinition"]["cpu"], task["taskDefinition"]["memory"]) == ("2048", "4096")
        keys, model = task["taskDefinition"]["containerDefinitions"]
        assert model["dependsOn"] == [{"containerName": "keys", "condition": "SUCCESS"}]
        assert keys["essential"] is False
        assert keys["secrets"][0]["valueFrom"].startswith("arn:aws:secretsmanager:")
        assert templates.alarm_thresholds(client, template, made) == {
            "TargetResponseTime": 0.05, "HTTPCode_Target_5XX_Count": 5.0, "UnHealthyHostCount": 0.0,
        }  # fmt: skip


def _scaled(templates: SimpleNamespace, client: Any, template: Path, made: dict[str, str]) -> None:
    """The service is scaled between the policy's bounds, by what was measured."""
    scaling = client("application-autoscaling")
    of = templates.properties(template, "Scaling", made)
    of["ResourceId"] = f"service/{made['Cluster']}/{made['Service'].rpartition('/')[2]}"
    scaling.register_scalable_target(**of)
    target = scaling.describe_scalable_targets(ServiceNamespace="ecs")["ScalableTargets"][0]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (3, 9)
    place = {key: of[key] for key in ("ServiceNamespace", "ResourceId", "ScalableDimension")}
    for name in ("ByRequests", "ByProcessor"):
        policy = templates.properties(template, name, made)
        del policy["ScalingTargetId"]
        scaling.put_scaling_policy(**policy, **place)
    policies = scaling.describe_scaling_policies(ServiceNamespace="ecs")["ScalingPolicies"]
    found = [one["TargetTrackingScalingPolicyConfiguration"] for one in policies]
    tracked = {
        one["PredefinedMetricSpecification"]["PredefinedMetricType"]: one["TargetValue"]
        for one in found
    }
    assert tracked == {"ALBRequestCountPerTarget": 9600.0, "ECSServiceAverageCPUUtilization": 68.0}


@pytest.mark.parametrize(
    ("cores", "memory", "sold"),
    [(1, 100.0, ("1024", "2048")), (3, 300.0, ("4096", "8192")), (2, 3900.0, ("2048", "5120"))],
)
def test_what_is_bought_is_what_fargate_sells(
    write: Write, cores: int, memory: float, sold: tuple[str, str]
) -> None:
    text = (write("fargate", cores=cores, memory_mb=memory) / "fargate.yaml").read_text()
    assert f'Cpu: "{sold[0]}"' in text
    assert f'Memory: "{sold[1]}"' in text


def test_more_than_fargate_sells_is_refused_with_a_way_out(write: Write) -> None:
    with pytest.raises(UserError) as failed:
        write("fargate", cores=64)
    assert failed.value.problem.code == "MW-622"
    assert "ec2" in failed.value.problem.fix
