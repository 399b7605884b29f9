"""Templates of CloudFormation: read by cfn-lint, created in moto's server."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml


@pytest.fixture
def templates() -> SimpleNamespace:
    """What can be done with a template."""
    return SimpleNamespace(
        faults=faults, account=account, created=created, properties=properties, lowered=lowered,
        alarm_thresholds=alarm_thresholds,
    )  # fmt: skip


def faults(path: Path) -> list[str]:
    """What cfn-lint says, warnings among it."""
    from cfnlint.api import ManualArgs, lint_file

    return [str(one) for one in lint_file(path, config=ManualArgs(include_checks=["I"]))]


@contextmanager
def account() -> Iterator[Any]:
    """client("ec2") of an account behind moto's server on loopback."""
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    session = boto3.Session("testing", "testing", region_name="eu-central-1")
    try:
        request = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(request, timeout=30).close()  # it keeps state for the whole process
        yield lambda name: session.client(name, endpoint_url=f"http://{host}:{port}")
    finally:
        server.stop()


def created(client: Any, template: Path) -> dict[str, str]:
    """Create the stack as the README says; what its names stand for then."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{number}.0/24", AvailabilityZone=zone)
        for number, zone in enumerate(("eu-central-1a", "eu-central-1b"))
    ]
    secret = client("secretsmanager").create_secret(Name="keys", SecretString=json.dumps({}))
    parameters = {
        "VpcId": vpc,
        "Subnets": ",".join(one["Subnet"]["SubnetId"] for one in subnets),
        "KeysSecretArn": secret["ARN"],
    }
    cloud = client("cloudformation")
    cloud.create_stack(
        StackName="tiny",
        TemplateBody=template.read_text(),
        Capabilities=["CAPABILITY_IAM"],
        Parameters=[
            {"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()
        ],
    )
    stack = cloud.describe_stacks(StackName="tiny")["Stacks"][0]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    found = cloud.describe_stack_resources(StackName="tiny")["StackResources"]
    return parameters | {
        one["LogicalResourceId"]: one.get("PhysicalResourceId", "")
        for one in found
        if "LogicalResourceId" in one  # of what moto did not make it tells nothing
    }


def properties(template: Path, name: str, made: dict[str, str]) -> dict[str, Any]:
    """A resource's properties with its references filled in, to be given to the API itself."""
    return _filled(yaml.safe_load(template.read_text())["Resources"][name]["Properties"], made)


def _filled(value: Any, made: dict[str, str]) -> Any:
    if isinstance(value, list):
        found = [_filled(one, made) for one in value]
        return [one for one in found if one is not None]
    if not isinstance(value, dict):
        return value
    if list(value) == ["Ref"]:
        return None if value["Ref"] == "AWS::NoValue" else made.get(value["Ref"], value["Ref"])
    if list(value) == ["Fn::GetAtt"]:
        name, attribute = value["Fn::GetAtt"]
        return f"{attribute}-of-{name}"
    if list(value) == ["Fn::Join"]:
        mark, parts = value["Fn::Join"]
        return mark.join(_filled(part, made) for part in parts)
    if list(value) == ["Fn::If"]:
        return _filled(value["Fn::If"][2], made)
    found = {key: _filled(one, made) for key, one in value.items()}
    return {key: one for key, one in found.items() if one is not None}


def alarm_thresholds(client: Any, template: Path, made: dict[str, str]) -> dict[str, float]:
    """Set the template's alarms; what the account then tells of them."""
    watch = client("cloudwatch")
    names = ["SlowAlarm", "FailureAlarm", "UnhealthyAlarm"]
    for name in names:
        watch.put_metric_alarm(AlarmName=name, **properties(template, name, made))
    alarms = watch.describe_alarms(AlarmNames=names)["MetricAlarms"]
    return {alarm["MetricName"]: alarm["Threshold"] for alarm in alarms}


def lowered(value: Any) -> Any:
    """Keys as ECS's API writes them: `ContainerDefinitions` is `containerDefinitions` there."""
    if isinstance(value, list):
        return [lowered(one) for one in value]
    if isinstance(value, dict):
        return {key[:1].lower() + key[1:]: lowered(one) for key, one in value.items()}
    return value
