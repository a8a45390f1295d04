#!/bin/sh
# Stops or starts what a stack does by itself: the schedule of its audit, and the event source
# mappings, which bring events from the queues to the functions.
#
#   pause.sh <pause|resume> <stack> <function>...
set -e
case $1 in
  pause) state=DISABLED enabled=--no-enabled ;;
  resume) state=ENABLED enabled=--enabled ;;
esac
stack=$2
shift 2

# An update takes the whole schedule: what it isn't told goes back to a default.
schedule=$(aws scheduler get-schedule --name "$stack-audit-organization" --output json --query "{
  Name: Name, GroupName: GroupName, Description: Description, ScheduleExpression: ScheduleExpression,
  FlexibleTimeWindow: FlexibleTimeWindow, Target: Target, State: '$state'}")
aws scheduler update-schedule --cli-input-json "$schedule" >/dev/null
echo "the schedule of $stack-audit-organization: $state"

for function; do
  mappings=$(aws lambda list-event-source-mappings --function-name "$stack-$function" \
    --query 'EventSourceMappings[].UUID' --output text)
  for mapping in $mappings; do
    became=$(aws lambda update-event-source-mapping --uuid "$mapping" "$enabled" --query State --output text)
    while [ "$became" = Disabling ]; do # until then, it still hands messages to the function
      sleep 5
      became=$(aws lambda get-event-source-mapping --uuid "$mapping" --query State --output text)
    done
    echo "the queue of $stack-$function: $became"
  done
done
