"""Prints a deployed stack as JSON: its outputs, the id of its API, and the names of its functions by logical id."""

import json
import sys

import boto3

stack = sys.argv[1]
cloudformation = boto3.client("cloudformation")
outputs = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["Outputs"]
pages = cloudformation.get_paginator("list_stack_resources").paginate(StackName=stack)
resources = [resource for page in pages for resource in page["StackResourceSummaries"]]


def named(type):
    return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in resources if r["ResourceType"] == type}


print(
    json.dumps(
        {
            "outputs": {output["OutputKey"]: output["OutputValue"] for output in outputs},
            "api": named("AWS::ApiGatewayV2::Api")["Api"],
            "functions": named("AWS::Lambda::Function"),
        }
    )
)
