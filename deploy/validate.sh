#!/bin/sh
# Checks deploy/functiongraph by OpenTofu or Terraform itself, as far as they and the provider are on
# this machine, and says what is left out. It fetches nothing.
tofu=$(command -v tofu || command -v terraform) || {
  echo "left out: deploy/functiongraph by OpenTofu or Terraform (https://opentofu.org)"
  exit 0
}
tofu="$tofu -chdir=deploy/functiongraph"
$tofu fmt -check -diff || exit 1
if out=$($tofu validate -no-color 2>&1); then
  echo "deploy/functiongraph is valid, says the provider"
  exit 0
fi
case $out in
*'Missing required provider'*)
  echo "left out: deploy/functiongraph by the provider huaweicloud/huaweicloud ($tofu init fetches it)" ;;
*)
  echo "$out"
  exit 1 ;;
esac
