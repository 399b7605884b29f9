"""Machines on AWS EC2: a launch template, an auto scaling group with a warm pool; CloudFormation.

    mw deploy BUNDLE --target ec2 -o aws --image ACCOUNT.dkr.ecr.REGION.amazonaws.com/intents:1

A machine starts with the image that it runs and one replica on it, and is of the size that the
replica was measured on. Stopped machines that have the image wait in the warm pool, so that one more
is there after seconds rather than minutes.
"""

from __future__ import annotations

from typing import Any, final

from pydantic import BaseModel, ConfigDict

from modelwright.deploy.imaging import IGNORED, MOUNTED, SECRETS, Files, image_files
from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.targets import Target, _aws
from modelwright.deploy.targets._aws import attribute, ref
from modelwright.deploy.yamltext import Noted
from modelwright.errors import UserError

VERSION = 1
Object = dict[str, Any]
_MACHINES = {2: "large", 4: "xlarge", 8: "2xlarge", 16: "4xlarge", 32: "8xlarge", 48: "12xlarge",
             64: "16xlarge", 96: "24xlarge", 192: "48xlarge"}  # fmt: skip
_MB_A_CORE = {"c7i": 2048, "m7i": 4096, "r7i": 8192}
_SYSTEM_MB = 512
_BOOT_SECONDS = 120
_AMI = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"


class Config(BaseModel):
    """No options."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


@final
class Ec2(Target):
    """See the module."""

    def files(self, order: Order) -> Files:
        image = {f"image/{name}": content for name, content in image_files(order).items()}
        machine, why = machine_type(order)
        parameters = {
            "InstanceType": {"Type": "String", "Default": Noted(machine, why)},
            "Ami": {
                "Type": "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>",
                "Default": _AMI,
            },
        }
        resources = {**_machines(order), **_group(order)}
        return {
            **image,
            "ec2.yaml": _aws.template(order, "machines on EC2", parameters, resources),
            "make-secrets.sh": SECRETS,
            ".gitignore": IGNORED,
        }

    def commands(self, order: Order) -> list[tuple[str, str]]:
        return _aws.commands(order, "ec2.yaml")

    def notes(self, order: Order) -> str:
        machine, why = machine_type(order)
        return f"""{_aws.NOTES}
- Machines are {machine}: {why}. Give the capacity of another kind (`mw bench` on it) to be right there.
- The subnets need a way to the registry and to Secrets Manager: a NAT gateway or endpoints.
- `aws ssm start-session` opens a shell on a machine; no port for SSH is open.
- Keys are read when a machine starts its container; `aws autoscaling start-instance-refresh` renews all.
"""


def machine_type(order: Order) -> tuple[str, str]:
    """The smallest machine with the cores and the memory that were measured, and why.

    Raises:
        UserError: MW-622 when there is none.
    """
    sizing = order.sizing
    for cores, size in _MACHINES.items():
        for family, each in _MB_A_CORE.items():
            if cores >= sizing.cores.value and cores * each >= sizing.most_mb.value + _SYSTEM_MB:
                why = (
                    f"{cores} cores and {cores * each // 1024} GiB for {sizing.cores.value} cores and "
                    f"{sizing.most_mb.value} MiB of a replica and {_SYSTEM_MB} MiB of the system"
                )
                return f"{family}.{size}", why
    raise UserError(
        "MW-622",
        f"a replica needs {sizing.cores.value} cores and {sizing.most_mb.value:,} MiB",
        expected="at most 192 cores and 8 GiB a core",
        fix="measure with fewer cores: taskset -c 0-7 mw bench BUNDLE --service",
    )


def _machines(order: Order) -> Object:
    return {
        "TargetGroup": _aws.target_group("instance"),
        "Role": _aws.role(
            "ec2.amazonaws.com",
            ["AmazonEC2ContainerRegistryReadOnly", "AmazonSSMManagedInstanceCore"],
            [_aws.read_keys()],
        ),
        "Profile": {
            "Type": "AWS::IAM::InstanceProfile",
            "Properties": {"Roles": [ref("Role")]},
        },
        "Template": {
            "Type": "AWS::EC2::LaunchTemplate",
            "Properties": {
                "LaunchTemplateData": {
                    "ImageId": ref("Ami"),
                    "InstanceType": ref("InstanceType"),
                    "IamInstanceProfile": {"Arn": attribute("Profile", "Arn")},
                    "SecurityGroupIds": [attribute("ServiceGroup", "GroupId")],
                    "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
                    "BlockDeviceMappings": [
                        {
                            "DeviceName": "/dev/xvda",
                            "Ebs": {"VolumeType": "gp3", "VolumeSize": 20, "Encrypted": True},
                        }
                    ],
                    "UserData": {"Fn::Base64": {"Fn::Sub": _start_script(order)}},
                }
            },
        },
    }


def _start_script(order: Order) -> str:
    """What a machine does when it starts; `${...}` is CloudFormation's, `$...` the shell's."""
    sizing = order.sizing
    return f"""\
#!/bin/bash
set -euo pipefail
IMAGE='${{Image}}'
dnf install -y docker
systemctl enable --now docker
install -d -m 755 /etc/modelwright
aws secretsmanager get-secret-value --region '${{AWS::Region}}' --secret-id '${{KeysSecretArn}}' \\
  --query SecretString --output text > /etc/modelwright/keys.json
chmod 444 /etc/modelwright/keys.json
case "$IMAGE" in *.amazonaws.com/*)
  aws ecr get-login-password --region '${{AWS::Region}}' \\
    | docker login --username AWS --password-stdin "$(echo "$IMAGE" | cut -d/ -f1)" ;;
esac
docker run -d --name {order.name} --restart always -p {PORT}:{PORT} \\
  -v /etc/modelwright:{MOUNTED}:ro --read-only --tmpfs /tmp --cap-drop ALL \\
  --security-opt no-new-privileges --cpus {sizing.cores.value} --memory {sizing.most_mb.value}m \\
  --stop-timeout {sizing.stop_seconds.value} "$IMAGE"
"""


def _group(order: Order) -> Object:
    sizing = order.sizing
    boot = _BOOT_SECONDS + sizing.start_seconds.value
    return {
        "Group": {
            "Type": "AWS::AutoScaling::AutoScalingGroup",
            "DependsOn": "Listener",
            "UpdatePolicy": {
                "AutoScalingRollingUpdate": {
                    "MinInstancesInService": sizing.least.value,
                    "MaxBatchSize": 1,
                    "PauseTime": "PT3M",
                }
            },
            "Properties": {
                "MinSize": Noted(str(sizing.least.value), sizing.least.why),
                "MaxSize": Noted(
                    str(max(sizing.most.value, sizing.least.value + 1)), sizing.most.why
                ),
                "VPCZoneIdentifier": ref("Subnets"),
                "TargetGroupARNs": [ref("TargetGroup")],
                "HealthCheckType": "ELB",
                "HealthCheckGracePeriod": Noted(
                    boot, f"{_BOOT_SECONDS} s to boot + {sizing.start_seconds.why}"
                ),
                "DefaultInstanceWarmup": boot,
                "LaunchTemplate": {
                    "LaunchTemplateId": ref("Template"),
                    "Version": attribute("Template", "LatestVersionNumber"),
                },
                "Tags": [{"Key": "Name", "Value": order.name, "PropagateAtLaunch": True}],
            },
        },
        "WarmPool": {
            "Type": "AWS::AutoScaling::WarmPool",
            "Properties": {
                "AutoScalingGroupName": ref("Group"),
                "PoolState": "Stopped",
                "MinSize": Noted(
                    max(1, sizing.least.value // 2),
                    "as many as may be wanted at once, half of the least",
                ),
                "InstanceReusePolicy": {"ReuseOnScaleIn": True},
            },
        },
        "ByRequests": _policy(
            {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": _aws.request_label(),
            },
            Noted(sizing.per_minute.value, sizing.per_minute.why),
        ),
        "ByProcessor": _policy(
            {"PredefinedMetricType": "ASGAverageCPUUtilization"},
            Noted(sizing.cpu_percent.value, sizing.cpu_percent.why),
        ),
    }


def _policy(metric: Object, target: Noted) -> Object:
    return {
        "Type": "AWS::AutoScaling::ScalingPolicy",
        "DependsOn": "Listener",
        "Properties": {
            "AutoScalingGroupName": ref("Group"),
            "PolicyType": "TargetTrackingScaling",
            "TargetTrackingConfiguration": {
                "PredefinedMetricSpecification": metric,
                "TargetValue": target,
            },
        },
    }
