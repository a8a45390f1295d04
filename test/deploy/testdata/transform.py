"""Transforms a packaged template as AWS does, and says what of it moto can't take.

    transform.py <template> <parameters, as JSON>

The answer, on stdout: {"template": {...}, "adapted": {<logical id>: <why>}}.
"""

import json
import sys

from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse


class NoManagedPolicies:
    """Roles name their policies themselves, so the transform needs none of AWS's."""

    def load(self):
        return {}


def adapt(resources):
    adapted = {}
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Events::Archive" and isinstance(properties.get("EventPattern"), dict):
            properties["EventPattern"] = json.dumps(properties["EventPattern"])
            adapted[name] = "moto wants an archive's EventPattern as text"
    return adapted


path, parameters = sys.argv[1:]
with open(path, encoding="utf-8") as f:
    template = transform(yaml_parse(f), json.loads(parameters), NoManagedPolicies())
json.dump({"template": template, "adapted": adapt(template["Resources"])}, sys.stdout)
