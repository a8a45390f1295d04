#!/bin/sh
# Says which checks of make check-deploy are left out, because their commands aren't on this
# machine.
command -v cfn-lint >/dev/null ||
  echo "left out: AWS's own transform and rules, by cfn-lint (pip install cfn-lint)"
command -v aws >/dev/null && python3 -c 'import moto.server, samtranslator' 2>/dev/null ||
  echo "left out: creating the stack in moto (the aws client, and pip install 'moto[server]' aws-sam-translator)"
exit 0
