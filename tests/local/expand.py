"""Prints a SAM template as the CloudFormation template that AWS makes of it, so that cfn-lint sees what is deployed."""

import sys
from types import SimpleNamespace

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import parse_yaml_file

no_managed_policies = SimpleNamespace(load=dict)
template = parse_yaml_file(sys.argv[1])
print(SamTemplateValidator(template, no_managed_policies, region="us-east-1").get_translated_template_if_valid())
