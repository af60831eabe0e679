"""Prints the CloudFormation template that AWS makes from a SAM template, in JSON. Linters find little in a SAM template.

Arguments: the path of the template, then parameters as NAME=VALUE. SAM replaces some parameters by their values, and by
their defaults if they are not given.
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
