#!/bin/sh
# Runs a saved query in CloudWatch Logs Insights, and prints what it finds: one of a function, or with
# ACCOUNT the one that asks all of the functions.
#
#   logs.sh <stack> <function>...
#
# In the environment, all of them optional:
#   ACCOUNT   id of an account. Then the query is what-happened-to-account.
#   SUBJECT   account or region. Then the query is what-happened.
#   QUERY     another query: needs-a-person (without SUBJECT the default), changed, slow, or of the
#             audit audits
#   HOURS     how far back, by default 24
stack=$1
shift
hours=${HOURS:-24}
if [ -n "$ACCOUNT" ]; then
  saved=$stack query=what-happened-to-account SUBJECT=$ACCOUNT
elif [ -n "$SUBJECT" ]; then
  saved=$stack/$1 query=${QUERY:-what-happened}
else
  saved=$stack/$1 query=${QUERY:-needs-a-person}
fi

fail() {
  echo "$1" >&2
  exit 1
}
case $SUBJECT in *[!A-Za-z0-9._:/_-]*) fail "ACCOUNT or SUBJECT must be the id of an account or region" ;; esac
case $hours in *[!0-9]*) fail "HOURS must be a whole number" ;; esac
[ "$query" != what-happened ] || [ -n "$SUBJECT" ] || fail "What happened to which account or region? SUBJECT=<id>"

names=$(aws logs describe-query-definitions --query-definition-name-prefix "$saved/" \
  --query 'queryDefinitions[].name' --output text) || exit 1
text=$(aws logs describe-query-definitions --query-definition-name-prefix "$saved/$query" \
  --query 'queryDefinitions[0].queryString' --output text) || exit 1
if [ -z "$text" ] || [ "$text" = None ]; then
  fail "There is no saved query $saved/$query. There are: ${names:-none; is the stack deployed here?}"
fi
text=$(printf "%s" "$text" | sed "s|SUBJECT|$SUBJECT|g")
groups=
for function; do
  groups="$groups /aws/lambda/$stack-$function"
done

now=$(date +%s)
id=$(aws logs start-query --log-group-names $groups --query-string "$text" \
  --start-time $((now - hours * 3600)) --end-time "$now" --query queryId --output text) || exit 1
while :; do
  status=$(aws logs get-query-results --query-id "$id" --query status --output text) || exit 1
  case $status in Complete) break ;; Scheduled | Running) sleep 1 ;; *) fail "The query ended as $status" ;; esac
done

# A row begins with its time. @ptr is of use to programs only.
aws logs get-query-results --query-id "$id" --query 'results[][].[field, value]' --output text | awk -F '\t' '
  $1 == "@ptr" || NF < 2 { next }
  $1 == "@timestamp" { rows++; printf "%s%s\n", (rows > 1 ? "\n" : ""), $2; next }
  { printf "  %-14s %s\n", $1, substr($0, length($1) + 2) }
  END { printf "%s%d found", (rows ? "\n" : ""), rows }'
echo " in the last $hours hours by $saved/$query"
