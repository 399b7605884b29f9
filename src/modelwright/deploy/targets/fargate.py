"""AWS Fargate: an ECS service behind a load balancer, scaled by requests; a CloudFormation template.

    mw deploy BUNDLE --target fargate -o aws --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/intents:1

Tasks run in the subnets that you name, behind an internal load balancer. They are scaled so that a
task gets four fifths of the requests that one replica was measured to answer within the promise.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import IGNORED, MOUNTED, SECRETS, USER, Files, image_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.sizing import HEADROOM
from modelwright.deploy.targets import Target, _aws
from modelwright.deploy.targets._aws import attribute, ref
from modelwright.deploy.yamltext import Noted
from modelwright.errors import UserError

VERSION = 1
Object = dict[str, Any]
_MEMORY_MB: dict[int, range] = {
    1: range(2048, 8193, 1024),
    2: range(4096, 16385, 1024),
    4: range(8192, 30721, 1024),
    8: range(16384, 61441, 4096),
    16: range(32768, 122881, 8192),
}
"""What Fargate sells: memory that goes with so many cores."""
_WRITE_KEYS = (
    "import os, pathlib; "
    f"file = pathlib.Path('{MOUNTED}/keys.json'); "
    "file.write_text(os.environ['KEYS']); file.chmod(0o444); os.chmod('/tmp', 0o1777)"
)


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Fargate(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        image = {f"image/{name}": content for name, content in image_files(order).items()}
        parameters = {
            "AssignPublicIp": {
                "Type": "String",
                "Default": "DISABLED",
                "AllowedValues": ["DISABLED", "ENABLED"],
                "Description": "ENABLED in subnets without a NAT gateway or endpoints.",
            }
        }
        resources = {**_service(order), **_scaling(order)}
        return {
            **image,
            "fargate.yaml": _aws.template(order, "tasks on Fargate", parameters, resources),
            "make-secrets.sh": SECRETS,
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return _aws.commands(order, "fargate.yaml")

    def notes(self, order: Order) -> str:
        return f"""{_aws.NOTES}
- Keys reach a task when it starts; after `aws secretsmanager put-secret-value` start new ones with
  `aws ecs update-service --force-new-deployment`.
- Recorded traffic goes with its task.
"""


def bought(order: Order) -> tuple[int, int]:
    """Cores and MiB: the least that Fargate sells and that is enough.

    Raises:
        UserError: MW-622 when nothing is.
    """
    sizing = order.sizing
    for cores, sold in _MEMORY_MB.items():
        enough = [memory for memory in sold if memory >= sizing.most_mb.value]
        if cores >= sizing.cores.value and enough:
            return cores, enough[0]
    raise UserError(
        "MW-622",
        f"a replica needs {sizing.cores.value} cores and {sizing.most_mb.value:,} MiB",
        expected="at most 16 cores and 122,880 MiB, which is all that Fargate sells",
        fix="measure with fewer cores (taskset -c 0-15 mw bench ... --service), or deploy to ec2",
    )


def _service(order: Order) -> Object:
    sizing = order.sizing
    return {
        "TargetGroup": _aws.target_group("ip"),
        "Logs": {
            "Type": "AWS::Logs::LogGroup",
            "DeletionPolicy": "Delete",
            "UpdateReplacePolicy": "Delete",
            "Properties": {"RetentionInDays": 30},
        },
        "Cluster": {
            "Type": "AWS::ECS::Cluster",
            "Properties": {"ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}]},
        },
        "ExecutionRole": _aws.role(
            "ecs-tasks.amazonaws.com",
            ["service-role/AmazonECSTaskExecutionRolePolicy"],
            [_aws.read_keys()],
        ),
        "TaskRole": _aws.role("ecs-tasks.amazonaws.com", [], []),
        "Task": _task(order),
        "Service": {
            "Type": "AWS::ECS::Service",
            "DependsOn": "Listener",
            "Properties": {
                "Cluster": ref("Cluster"),
                "TaskDefinition": ref("Task"),
                "LaunchType": "FARGATE",
                "DesiredCount": Noted(sizing.least.value, sizing.least.why),
                "HealthCheckGracePeriodSeconds": Noted(
                    sizing.start_seconds.value, sizing.start_seconds.why
                ),
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
                },
                "NetworkConfiguration": {
                    "AwsvpcConfiguration": {
                        "Subnets": ref("Subnets"),
                        "SecurityGroups": [attribute("ServiceGroup", "GroupId")],
                        "AssignPublicIp": ref("AssignPublicIp"),
                    }
                },
                "LoadBalancers": [
                    {
                        "ContainerName": "model",
                        "ContainerPort": PORT,
                        "TargetGroupArn": ref("TargetGroup"),
                    }
                ],
            },
        },
    }


def _task(order: Order) -> Object:
    cores, memory = bought(order)
    sizing = order.sizing
    return {
        "Type": "AWS::ECS::TaskDefinition",
        "Properties": {
            "Family": order.name,
            "RequiresCompatibilities": ["FARGATE"],
            "NetworkMode": "awsvpc",
            "Cpu": Noted(str(1024 * cores), f"{cores} cores; {sizing.cores.why}"),
            "Memory": Noted(
                str(memory), f"{sizing.most_mb.why}: {sizing.most_mb.value}; the next size sold"
            ),
            "ExecutionRoleArn": attribute("ExecutionRole", "Arn"),
            "TaskRoleArn": attribute("TaskRole", "Arn"),
            "Volumes": [{"Name": "keys"}, {"Name": "tmp"}],
            "ContainerDefinitions": [_keys_container(), _model_container(order)],
        },
    }


_MOUNTS = [
    {"SourceVolume": "keys", "ContainerPath": MOUNTED},
    {"SourceVolume": "tmp", "ContainerPath": "/tmp"},
]


def _keys_container() -> Noted:
    """The secret comes as a variable and is wanted as a file."""
    return Noted(
        {
            "Name": "keys",
            "Image": ref("Image"),
            "Essential": False,
            "User": "0",
            "EntryPoint": ["python", "-c", _WRITE_KEYS],
            "Secrets": [{"Name": "KEYS", "ValueFrom": ref("KeysSecretArn")}],
            "ReadonlyRootFilesystem": True,
            "MountPoints": _MOUNTS,
            "LogConfiguration": _logs("keys"),
        },
        "ECS gives secrets as variables; this one writes the file of keys and ends",
    )


def _model_container(order: Order) -> Object:
    sizing = order.sizing
    words = ["mw", "serve", "/bundle", "--variant", order.variant, "--host", "0.0.0.0"]
    words += ["--port", str(PORT), "--keys", f"{MOUNTED}/keys.json", "--log", "json"]
    return {
        "Name": "model",
        "Image": ref("Image"),
        "Essential": True,
        "User": str(USER),
        "EntryPoint": words,
        "DependsOn": [{"ContainerName": "keys", "Condition": "SUCCESS"}],
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {"Capabilities": {"Drop": ["ALL"]}},
        "MountPoints": [{**_MOUNTS[0], "ReadOnly": True}, _MOUNTS[1]],
        "PortMappings": [{"ContainerPort": PORT, "Protocol": "tcp"}],
        "StopTimeout": Noted(min(120, sizing.stop_seconds.value), sizing.stop_seconds.why),
        "LogConfiguration": _logs("model"),
    }


def _logs(prefix: str) -> Object:
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": ref("Logs"),
            "awslogs-region": ref("AWS::Region"),
            "awslogs-stream-prefix": prefix,
        },
    }


def _scaling(order: Order) -> Object:
    sizing = order.sizing
    cores, _ = bought(order)
    used = sizing.cpu_percent.value * sizing.millicores.value / 1000 / cores
    return {
        "Scaling": {
            "Type": "AWS::ApplicationAutoScaling::ScalableTarget",
            "Properties": {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                "ResourceId": {
                    "Fn::Join": ["/", ["service", ref("Cluster"), attribute("Service", "Name")]]
                },
                "MinCapacity": Noted(sizing.least.value, sizing.least.why),
                "MaxCapacity": Noted(sizing.most.value, sizing.most.why),
            },
        },
        "ByRequests": _policy(
            order,
            {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": _aws.request_label(),
            },
            Noted(sizing.per_minute.value, sizing.per_minute.why),
        ),
        "ByProcessor": _policy(
            order,
            {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"},
            Noted(
                max(1, min(90, round(used))),
                f"percent of {cores} cores: {HEADROOM:g} x what was in use at the promise",
            ),
        ),
    }


def _policy(order: Order, metric: Object, target: Noted) -> Object:
    return {
        "Type": "AWS::ApplicationAutoScaling::ScalingPolicy",
        "Properties": {
            "PolicyName": {
                "Fn::Join": ["-", [ref("AWS::StackName"), metric["PredefinedMetricType"]]]
            },
            "PolicyType": "TargetTrackingScaling",
            "ScalingTargetId": ref("Scaling"),
            "TargetTrackingScalingPolicyConfiguration": {
                "PredefinedMetricSpecification": metric,
                "TargetValue": target,
                "ScaleOutCooldown": round(order.policy.up_seconds),
                "ScaleInCooldown": round(order.policy.down_seconds),
            },
        },
    }
