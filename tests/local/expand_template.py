"""Prints a SAM template as the CloudFormation template that AWS makes of it, in JSON: linters see little in the former.

After the template's path NAME=VALUE is a parameter; some SAM takes for their values already, their defaults if not given.
"""

import json
import sys
from types import SimpleNamespace

from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import parse_yaml_file, yaml_parse

no_managed_policies = SimpleNamespace(load=dict)
path, *parameters = sys.argv[1:]
template = parse_yaml_file(path)
for name, value in (parameter.split("=", 1) for parameter in parameters):
    template["Parameters"][name]["Default"] = value
expanded = SamTemplateValidator(template, no_managed_policies, region="us-east-1").get_translated_template_if_valid()
print(json.dumps(yaml_parse(expanded), indent=2))
