#!/bin/sh
# Says what make is about to do to a stack, and everything that is missing for it. Ends with 1 if
# something is.
#
#   ready.sh <deploy|delete|replay|logs|pause|resume> <stack> <settings> [<bucket>]
verb=$1 stack=$2 settings=$3 bucket=$4
missing=
need() { missing="$missing
  - $1"; }

# A value such as <the region> stands for one that only a person can choose. Nothing is asked of AWS
# before.
if [ "$verb" = deploy ] && [ -f "$settings" ]; then
  open=$(sed -n 's/^[[:space:]]*"\([A-Za-z0-9]*\)=\(<[^"]*\)".*/  - \1: \2/p' "$settings")
  if [ -n "$open" ]; then
    echo "Choose first. $settings has placeholders for:
$open"
    exit 1
  fi
fi

[ -f "$settings" ] ||
  need "the stage: there is no $settings. Stages are $(cd deploy &&
    echo samconfig.*.toml | sed 's/samconfig\.//g; s/\.toml//g')"
if ! command -v aws >/dev/null; then
  need "the aws client: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
else
  account=$(aws sts get-caller-identity --query Account --output text 2>/dev/null) ||
    need "credentials of AWS: aws configure, or aws sso login"
  region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null)}}
  [ -n "$region" ] || need "a region of AWS: export AWS_REGION=eu-central-1, for instance"
fi
if [ "$verb" = deploy ]; then
  if [ -z "$bucket" ]; then
    need "a bucket for the artifacts: make deploy STAGE=... BUCKET=<name>; aws s3 mb s3://<name> makes one"
  elif [ -n "$account" ] && ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
    need "the bucket: there is no $bucket that you may use; aws s3 mb s3://$bucket makes it"
  fi
fi
if [ "$verb" = delete ] && [ -n "$account" ] && [ -n "$region" ]; then
  protected=$(aws cloudformation describe-stacks --stack-name "$stack" \
    --query 'Stacks[0].EnableTerminationProtection' --output text 2>/dev/null)
  [ "$protected" != True ] || need "the end of its protection:
    aws cloudformation update-termination-protection --stack-name $stack --no-enable-termination-protection"
fi

where="${stack:-?} in account ${account:-?}, region ${region:-?}"
case $verb in
  deploy)
    echo "This deploys the stack $where, with the parameters of $settings and artifacts in s3://${bucket:-?}."
    ;;
  delete)
    echo "This deletes the stack $where. Its bus, archive, queues, dead letters and logs stay only if it was" \
      "deployed with Retain=true. A secret of its own can be restored for 30 days."
    ;;
  pause)
    echo "This stops the stack $where from doing anything by itself: the schedule of its audit, and what brings" \
      "events from the queues to its functions. They wait there, 14 days at most."
    ;;
  resume) echo "This starts the stack $where again: what brings events to its functions, and the schedule of its audit." ;;
  replay) echo "This puts the dead letters of the stack $where back into their queue." ;;
esac
[ -z "$missing" ] || { echo "Missing:$missing"; exit 1; }
