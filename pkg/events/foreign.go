package events

import (
	"cmp"
	"fmt"
	"strings"
)

// foreign names a payload that is well known but not taken, and says what would be, if there is
// something. The first row that fits names it.
func (o object) foreign() string {
	first, record, records := o.first("Records"), o.first("record"), o.first("records")
	context := o.object("requestContext")
	aws := cmp.Or(first.text("eventSource"), o.text("eventSource")) // the latter of Kafka, MQ and Pipes
	huawei := cmp.Or(record.text("event_source"), records.text("event_source"))
	sns, smn, trigger := o.text("Type"), o.text("type"), o.text("trigger_type")
	for _, row := range []struct {
		fits bool
		name string
	}{
		{strings.EqualFold(aws, "obs"), "an event of OBS"},
		{aws == "SelfManagedKafka", "an event of a Kafka cluster"},
		{strings.HasPrefix(aws, "aws:"), fmt.Sprintf("an event of %.40s", aws)}, // also OBS, which says aws:s3
		{o.has("Records"), "a list of Records of an unknown source"},
		{
			sns == "SubscriptionConfirmation" || sns == "UnsubscribeConfirmation",
			fmt.Sprintf("an SNS %.40s, which its HTTP endpoint must answer", sns),
		},
		{o.has("deliveryStreamArn"), "a batch that Data Firehose wants to have transformed"},
		{o.has("awslogs"), "log events of CloudWatch Logs"},
		{o.has("alarmArn", "alarmData"), "an alarm of CloudWatch"},
		{o.has("methodArn") || o.has("routeArn"), "a question of an API Gateway authorizer"},
		{o.has("messageVersion", "agent"), "a call by an agent of Bedrock"},
		{o.has("userPoolId", "triggerSource"), "a trigger of Cognito"},
		{o.has("invocationSchemaVersion", "tasks"), "a task of S3 Batch Operations"},
		{o.has("CodePipeline.job"), "a job of CodePipeline"},
		{o.has("RequestType", "ResponseURL"), "a custom resource of CloudFormation"},
		{o.has("invokingEvent", "resultToken"), "a question of an AWS Config rule"},
		{o.has("SecretId", "ClientRequestToken"), "a rotation of Secrets Manager"},
		{context.has("elb"), "a request of an Application Load Balancer"},
		{context.has("serviceNetworkArn"), "a request of VPC Lattice"},
		{context.has("eventType") || context.has("connectionId"), "a message of an API Gateway WebSocket"},
		{
			context.has("apiId") && o.has("httpMethod") && !o.has("resource"), // API Gateway of AWS names its resource
			"a request of APIG; put it before the HTTP server, or invoke the function directly",
		},
		{o.has("httpMethod"), "a request of API Gateway in format 1.0; set the integration to format 2.0"},
		{o.has("key1", "key2"), "the Lambda console's own test event"},
		{o.has("taskToken"), "a Step Functions callback; pass the event itself as the payload"},
		{o.has("lts"), "logs of LTS"},
		{o.has("ShardID", "StreamName"), "records of DIS"},
		{o.has("notify_data"), "a notification of IoTDA"},
		{trigger != "", fmt.Sprintf("an event of the trigger %.40q of FunctionGraph", trigger)}, // KAFKA, RABBITMQ
		{huawei != "", fmt.Sprintf("a record of %.40q of FunctionGraph", huawei)},               // dds, gaussmongo
		{o.has("cts"), "a CTS trace without the texts trace_name and service_type"},
		{o.has("trace_name", "service_type"), "a bare CTS trace; use a CTS trigger of FunctionGraph"},
		{o.has("topic_urn"), fmt.Sprintf("a %.40q of SMN; subscribe the function to the topic, not a URL", smn)},
	} {
		if row.fits {
			return row.name
		}
	}
	return "not a CloudEvent: it has no specversion"
}

// has reports whether all the members are there.
func (o object) has(names ...string) bool {
	for _, name := range names {
		if o[name] == "" {
			return false
		}
	}
	return true
}
