"""Starts moto, an imitation of AWS, with what it lacks for nested stacks.

    serve.py <port>
"""

import sys

from moto.cloudformation.models import Stack
from moto.server import main


def get_cfn_attribute(self, name):
    """moto knows no Fn::GetAtt for the outputs of a nested stack."""
    wanted = name.removeprefix("Outputs.")
    return next(output.value for output in self.output_map.values() if output.key == wanted)


Stack.get_cfn_attribute = get_cfn_attribute
main(["-H", "127.0.0.1", "-p", sys.argv[1]])
