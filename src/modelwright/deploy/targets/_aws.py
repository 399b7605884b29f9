"""What both AWS targets have: who may reach what, a load balancer, alarms; as CloudFormation.

References are CloudFormation's own (`Ref`, `Fn::GetAtt`). Of a bundle's texts none is part of a
`Fn::Sub`, where `${...}` means something, but its checked name.
"""

from __future__ import annotations

from typing import Any

from modelwright.deploy.ordering import PORT, Order
from modelwright.deploy.yamltext import Noted, text

Object = dict[str, Any]
IMAGE_LENGTH = 255


def ref(name: str) -> Object:
    """The value of a parameter, the identity of a resource."""
    return {"Ref": name}


def attribute(name: str, of: str) -> Object:
    """An attribute of a resource."""
    return {"Fn::GetAtt": [name, of]}


def template(order: Order, what: str, parameters: Object, resources: Object) -> str:
    """The file, with its parameters, conditions and outputs."""
    return text(
        {
            "AWSTemplateFormatVersion": "2010-09-09",
            "Description": f"{order.title} {order.version}: {what}",
            "Parameters": {**_parameters(order), **parameters},
            "Conditions": {
                "HasCertificate": {"Fn::Not": [{"Fn::Equals": [ref("CertificateArn"), ""]}]},
                "HasTopic": {"Fn::Not": [{"Fn::Equals": [ref("AlarmTopicArn"), ""]}]},
            },
            "Resources": {**_balancer(order), **resources, **_alarms(order)},
            "Outputs": {
                "Address": {
                    "Description": "Where the service answers.",
                    "Value": attribute("LoadBalancer", "DNSName"),
                }
            },
        },
        order.sizing.head,
    )


def _parameters(order: Order) -> Object:
    return {
        "Image": {
            "Type": "String",
            "Default": order.image,
            "Description": "The image, in a registry that the account may pull from.",
        },
        "VpcId": {"Type": "AWS::EC2::VPC::Id"},
        "Subnets": {
            "Type": "List<AWS::EC2::Subnet::Id>",
            "Description": "Two or more, in different zones.",
        },
        "KeysSecretArn": {
            "Type": "String",
            "Description": "Secret of Secrets Manager that holds keys.json.",
        },
        "Scheme": {
            "Type": "String",
            "Default": "internal",
            "AllowedValues": ["internal", "internet-facing"],
        },
        "CallersCidr": {
            "Type": "String",
            "Default": "10.0.0.0/8",
            "Description": "Addresses that may reach the load balancer.",
        },
        "CertificateArn": {
            "Type": "String",
            "Default": "",
            "Description": "Of ACM, for HTTPS; HTTP without one.",
        },
        "AlarmTopicArn": {
            "Type": "String",
            "Default": "",
            "Description": "Topic of SNS that is told of alarms; nobody without one.",
        },
    }


def _rule(port: Any, source: Object) -> Object:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}


def _balancer(order: Order) -> Object:
    port = {"Fn::If": ["HasCertificate", 443, 80]}
    return {
        "BalancerGroup": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "The load balancer of a model service",
                "VpcId": ref("VpcId"),
                "SecurityGroupIngress": [_rule(port, {"CidrIp": ref("CallersCidr")})],
            },
        },
        "ServiceGroup": {
            "Type": "AWS::EC2::SecurityGroup",
            "Properties": {
                "GroupDescription": "A model service, reached from its load balancer alone",
                "VpcId": ref("VpcId"),
                "SecurityGroupIngress": [
                    _rule(PORT, {"SourceSecurityGroupId": attribute("BalancerGroup", "GroupId")})
                ],
            },
        },
        "LoadBalancer": {
            "Type": "AWS::ElasticLoadBalancingV2::LoadBalancer",
            "Properties": {
                "Type": "application",
                "Scheme": ref("Scheme"),
                "Subnets": ref("Subnets"),
                "SecurityGroups": [attribute("BalancerGroup", "GroupId")],
                "LoadBalancerAttributes": [
                    {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"}
                ],
            },
        },
        "Listener": {
            "Type": "AWS::ElasticLoadBalancingV2::Listener",
            "Properties": {
                "LoadBalancerArn": ref("LoadBalancer"),
                "Port": port,
                "Protocol": {"Fn::If": ["HasCertificate", "HTTPS", "HTTP"]},
                "Certificates": {
                    "Fn::If": [
                        "HasCertificate",
                        [{"CertificateArn": ref("CertificateArn")}],
                        ref("AWS::NoValue"),
                    ]
                },
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("TargetGroup")}],
            },
        },
    }


def target_group(kind: str) -> Object:
    """Where the load balancer sends requests: `ip` for tasks, `instance` for machines."""
    return {
        "Type": "AWS::ElasticLoadBalancingV2::TargetGroup",
        "Properties": {
            "VpcId": ref("VpcId"),
            "TargetType": kind,
            "Port": PORT,
            "Protocol": "HTTP",
            "HealthCheckPath": "/health/ready",
            "HealthCheckIntervalSeconds": 10,
            "HealthCheckTimeoutSeconds": 5,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 3,
            "TargetGroupAttributes": [
                {"Key": "deregistration_delay.timeout_seconds", "Value": "30"},
                {
                    "Key": "load_balancing.algorithm.type",
                    "Value": Noted(
                        "least_outstanding_requests",
                        "requests take unlike times; turns would not do",
                    ),
                },
            ],
        },
    }


def request_label() -> Object:
    """What CloudWatch calls the load balancer and its targets."""
    return {
        "Fn::Join": [
            "/",
            [
                attribute("LoadBalancer", "LoadBalancerFullName"),
                attribute("TargetGroup", "TargetGroupFullName"),
            ],
        ]
    }


def _alarms(order: Order) -> Object:
    slow = order.slo.p99_ms or order.capacity.slo_p99_ms
    return {
        "SlowAlarm": _alarm(
            "TargetResponseTime",
            "the 99th percentile is over the promise",
            Noted(slow / 1000, f"promised: {slow:g} ms"),
            {"ExtendedStatistic": "p99"},
        ),
        "FailureAlarm": _alarm(
            "HTTPCode_Target_5XX_Count",
            "more than a few requests a minute fail or are refused",
            5,
            {"Statistic": "Sum"},
        ),
        "UnhealthyAlarm": _alarm(
            "UnHealthyHostCount",
            "a replica is not ready",
            0,
            {"Statistic": "Maximum"},
        ),
    }


def _alarm(metric: str, says: str, threshold: Any, statistic: Object) -> Object:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": says,
            "Namespace": "AWS/ApplicationELB",
            "MetricName": metric,
            "Dimensions": [
                {
                    "Name": "LoadBalancer",
                    "Value": attribute("LoadBalancer", "LoadBalancerFullName"),
                },
                {"Name": "TargetGroup", "Value": attribute("TargetGroup", "TargetGroupFullName")},
            ],
            **statistic,
            "Period": 60,
            "EvaluationPeriods": 5,
            "DatapointsToAlarm": 3,
            "ComparisonOperator": "GreaterThanThreshold",
            "Threshold": threshold,
            "TreatMissingData": "notBreaching",
            "AlarmActions": {"Fn::If": ["HasTopic", [ref("AlarmTopicArn")], ref("AWS::NoValue")]},
        },
    }


def role(service: str, policies: list[str], statements: list[Object]) -> Object:
    """A role that a service of AWS takes, with managed policies and a few rights of its own."""
    properties: Object = {
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": service},
                    "Action": "sts:AssumeRole",
                }
            ],
        },
        "ManagedPolicyArns": [
            {"Fn::Sub": f"arn:${{AWS::Partition}}:iam::aws:policy/{name}"} for name in policies
        ],
    }
    if statements:
        document = {"Version": "2012-10-17", "Statement": statements}
        properties["Policies"] = [{"PolicyName": "keys", "PolicyDocument": document}]
    return {"Type": "AWS::IAM::Role", "Properties": properties}


def read_keys() -> Object:
    """The right to read the one secret."""
    return {
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": ref("KeysSecretArn"),
    }


def commands(order: Order, file: str) -> list[tuple[str, str]]:
    """Push, keep the keys, create."""
    name = order.name
    return [
        (
            "Build the image and push it to a registry of yours (ECR).",
            f"docker build -t {order.image} -f image/Containerfile image && "
            f"docker push {order.image}",
        ),
        (
            "Make the keys and keep their hashes in Secrets Manager; it prints an ARN.",
            f"sh make-secrets.sh && aws secretsmanager create-secret --name {name}-keys \\\n"
            "  --secret-string file://secrets/service/keys.json --query ARN --output text",
        ),
        (
            "Create the stack.",
            f"aws cloudformation deploy --stack-name {name} --template-file {file} \\\n"
            "  --capabilities CAPABILITY_IAM --parameter-overrides VpcId=vpc-... \\\n"
            "  Subnets=subnet-...,subnet-... KeysSecretArn=arn:...",
        ),
    ]


NOTES = """
- The address is the output `Address`; callers give a key: `secrets/predict.key`.
- The load balancer is internal. Before you open it (`Scheme=internet-facing`, `CallersCidr=0.0.0.0/0`),
  give it a certificate (`CertificateArn`), for keys travel in requests.
- Alarms tell the topic `AlarmTopicArn`.
- A new bundle: `mw deploy` into this folder again, push the new image, deploy the stack again.
"""
