"""Gives the deployed API the routes that its template declares.

SAM turns `HttpApi` events into an OpenAPI document, the `Body` of AWS::ApiGatewayV2::Api. AWS imports it; ministack 1.5
ignores it, so that the API comes up without routes. This reads the document from the processed template and makes one
integration per function, one route per path and method, and the CORS configuration. It may run any number of times.
This file can go when `aws apigatewayv2 get-routes` shows the routes right after a deployment.
"""

import json
import re
import sys

import boto3

stack = sys.argv[1]
cloudformation = boto3.client("cloudformation")
gateway = boto3.client("apigatewayv2")

stack_id = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackId"]
template = cloudformation.get_template(StackName=stack, TemplateStage="Processed")["TemplateBody"]
if isinstance(template, str):
    template = json.loads(template)


def physical_id(logical_id):
    detail = cloudformation.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
    return detail["StackResourceDetail"]["PhysicalResourceId"]


def function_arn(logical_id):
    _, partition, _, region, account, _ = stack_id.split(":", 5)
    return f"arn:{partition}:lambda:{region}:{account}:function:{physical_id(logical_id)}"


def function_of(operation):
    """The logical id in {"Fn::Sub": "arn:…:path/2015-03-31/functions/${files.Arn}/invocations"}."""
    uri = json.dumps(operation["x-amazon-apigateway-integration"]["uri"])
    return re.search(r"\$\{(\w+)\.Arn\}", uri).group(1)


def route_keys(body):
    for path, operations in body["paths"].items():
        for method, operation in operations.items():
            if path.strip("/") == "$default":
                yield "$default", function_of(operation)
            elif method == "x-amazon-apigateway-any-method":
                yield f"ANY {path}", function_of(operation)
            else:
                yield f"{method.upper()} {path}", function_of(operation)


def cors(body):
    document = body.get("x-amazon-apigateway-cors")
    return document and {key[0].upper() + key[1:]: value for key, value in document.items()}


def create_routes(api, body):
    integrations = {}
    for route_key, function in sorted(route_keys(body)):
        if function not in integrations:
            integrations[function] = gateway.create_integration(
                ApiId=api,
                IntegrationType="AWS_PROXY",
                IntegrationUri=function_arn(function),
                PayloadFormatVersion="2.0",
            )["IntegrationId"]
        gateway.create_route(ApiId=api, RouteKey=route_key, Target=f"integrations/{integrations[function]}")


def remove_routes(api):
    for route in gateway.get_routes(ApiId=api)["Items"]:
        gateway.delete_route(ApiId=api, RouteId=route["RouteId"])
    for integration in gateway.get_integrations(ApiId=api)["Items"]:
        gateway.delete_integration(ApiId=api, IntegrationId=integration["IntegrationId"])


for logical_id, resource in template["Resources"].items():
    if resource["Type"] == "AWS::ApiGatewayV2::Api":
        api, body = physical_id(logical_id), resource["Properties"]["Body"]
        remove_routes(api)
        create_routes(api, body)
        if cors(body):
            gateway.update_api(ApiId=api, CorsConfiguration=cors(body))
