package events_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func TestWellKnownPayloadsThatAreNotAcceptedAreNamed(t *testing.T) {
	t.Parallel()
	for name, payloads := range map[string][]string{
		"an event of aws:s3": {
			`{"Records":[{"eventSource":"aws:s3","s3":{}}]}`,
			`{"Records":[{"eventVersion":"2.0","eventSource":"aws:s3","awsRegion":"eu-de","s3":{}}]}`, // OBS says so
		},
		"an event of aws:kinesis":       {`{"Records":[{"eventSource":"aws:kinesis","kinesis":{}}]}`},
		"an event of aws:dynamodb":      {`{"Records":[{"eventSource":"aws:dynamodb","dynamodb":{}}]}`},
		"an event of aws:kafka":         {`{"eventSource":"aws:kafka","bootstrapServers":"x","records":{"t-0":[]}}`},
		"an event of a Kafka cluster":   {`{"eventSource":"SelfManagedKafka","records":{"t-0":[]}}`},
		"an event of aws:mq":            {`{"eventSource":"aws:mq","eventSourceArn":"arn","messages":[]}`},
		"an event of aws:rmq":           {`{"eventSource":"aws:rmq","rmqMessagesByQueue":{}}`},
		"an event of aws:docdb":         {`{"eventSource":"aws:docdb","events":[]}`},
		"an event of aws:sqs":           {`{"eventSource":"aws:sqs","messageId":"m","body":"{}"}`},
		"a batch that Data Firehose":    {`{"invocationId":"x","deliveryStreamArn":"arn","records":[{"data":"e30="}]}`},
		"log events of CloudWatch Logs": {`{"awslogs":{"data":"H4sI"}}`},
		"an alarm of CloudWatch":        {`{"source":"aws.cloudwatch","alarmArn":"arn","alarmData":{}}`},
		"a list of Records of an unknown source": {
			`{"Records":[{"EventSource":"aws:ses"}]}`,
			`{"Records":[]}`,
			`{"Records":[{"EVENTSOURCE":"aws:sqs"}]}`,
			`{"Records":[{"cf":{}}]}`,
		},
		"a question of an API Gateway authorizer": {
			`{"type":"TOKEN","authorizationToken":"x","methodArn":"arn"}`,
			`{"type":"REQUEST","methodArn":"arn","httpMethod":"POST","resource":"/","requestContext":{"apiId":"x"}}`,
			`{"version":"1.0","type":"REQUEST","routeArn":"arn"}`,
		},
		"a call by an agent of Bedrock": {
			`{"messageVersion":"1.0","agent":{},"actionGroup":"x","apiPath":"/","httpMethod":"POST"}`,
		},
		"a trigger of Cognito": {
			`{"version":"1","triggerSource":"PostConfirmation_ConfirmSignUp","userPoolId":"x","request":{}}`,
		},
		"a task of S3 Batch Operations": {`{"invocationSchemaVersion":"1.0","invocationId":"x","job":{},"tasks":[]}`},
		"a job of CodePipeline":         {`{"CodePipeline.job":{"id":"x"}}`},
		"a custom resource of CloudFormation": {
			`{"RequestType":"Create","ResponseURL":"https://example.com","StackId":"x","RequestId":"x"}`,
		},
		"a question of an AWS Config rule": {`{"invokingEvent":"{}","ruleParameters":"{}","resultToken":"x"}`},
		"a rotation of Secrets Manager":    {`{"Step":"createSecret","SecretId":"x","ClientRequestToken":"x"}`},
		"a request of API Gateway in format 1.0; set the integration to format 2.0": {
			`{"httpMethod":"POST","path":"/","requestContext":{"stage":"x"},"body":"{}"}`,
			`{"resource":"/","httpMethod":"POST","path":"/","requestContext":{"stage":"x","apiId":"x"},"body":"{}"}`,
		},
		"a request of an Application Load Balancer": {
			`{"httpMethod":"POST","requestContext":{"elb":{}},"body":"{}"}`,
		},
		"a request of VPC Lattice": {`{"version":"2.0","method":"POST","requestContext":{"serviceNetworkArn":"arn"}}`},
		"a message of an API Gateway WebSocket": {
			`{"requestContext":{"eventType":"MESSAGE","connectionId":"x"},"body":"{}"}`,
			`{"requestContext":{"routeKey":"$connect","eventType":"CONNECT","connectionId":"x","apiId":"x"}}`,
			`{"requestContext":{"connectionId":"x"}}`,
		},
		"the Lambda console's own test event": {`{"key1":"value1","key2":"value2","key3":"value3"}`},
		"an SNS SubscriptionConfirmation": {
			`{"Type":"SubscriptionConfirmation","TopicArn":"arn","MessageId":"1","SubscribeURL":""}`,
		},
		"an SNS UnsubscribeConfirmation": {`{"Type":"UnsubscribeConfirmation","TopicArn":"arn","MessageId":"1"}`},
		"a Step Functions callback":      {`{"event":{},"taskToken":"x"}`},
		"a request of APIG; put it before the HTTP server, or invoke the function directly": {
			`{"body":"","requestContext":{"apiId":"x","requestId":"x","stage":"RELEASE"},"httpMethod":"POST",` +
				`"queryStringParameters":{},"pathParameters":{},"headers":{},"path":"/","isBase64Encoded":true}`,
		},
		"an event of OBS": {
			`{"Records":[{"eventSource":"OBS","eventName":"ObjectCreated:Put","obs":{}}]}`,
			`{"Records":[{"eventSource":"obs"}]}`,
		},
		"logs of LTS":             {`{"lts":{"data":"e30="}}`},
		"records of DIS":          {`{"ShardID":"x","Message":{"records":[]},"Tag":"latest","StreamName":"x"}`},
		"a notification of IoTDA": {`{"resource":"device.property","notify_data":{}}`},
		`an event of the trigger "KAFKA" of FunctionGraph`:    {`{"trigger_type":"KAFKA","records":[{"messages":[]}]}`},
		`an event of the trigger "RABBITMQ" of FunctionGraph`: {`{"trigger_type":"RABBITMQ","records":{}}`},
		`an event of the trigger "timer" of FunctionGraph`:    {`{"trigger_type":"timer","user_event":"{}"}`},
		`a record of "dds" of FunctionGraph`: {
			`{"records":[{"event_source":"dds","dds":{}}]}`, `{"record":[{"event_source":"dds"}]}`,
		},
		"a CTS trace without the texts trace_name and service_type": {`{"cts":{"trace_name":null}}`},
		"a bare CTS trace; use a CTS trigger of FunctionGraph":      {`{"trace_name":"x","service_type":"y"}`},
		`a "Notification" of SMN; subscribe the function to the topic, not a URL`: {
			`{"type":"Notification","topic_urn":"urn","message_id":"x","message":"{}","signature":"x"}`,
		},
		`a "SubscriptionConfirmation" of SMN`: {
			`{"type":"SubscriptionConfirmation","topic_urn":"urn","message":"x","subscribe_url":"https://example.com"}`,
		},
		"not a CloudEvent: it has no specversion": {
			`{"Type":"Notification","MessageId":"1","Message":"{}"}`,
			`{"detail-type":"x","detail":{}}`,
			`{"records":[]}`, `{"record":[]}`,
		},
	} {
		for _, payload := range payloads {
			_, err := events.Unwrap([]byte(payload))
			require.ErrorAs(t, err, new(*events.InvalidEventError), payload)
			require.ErrorContains(t, err, "payload is "+name, payload)
			require.ErrorContains(t, err,
				"; it must be a CloudEvent in JSON, an array of them, or an event of EventBridge,")
		}
	}
}

func TestTheArrayOfAnotherPipeIsNamedOnce(t *testing.T) {
	t.Parallel()
	record := `{"kinesisSchemaVersion":"1.0","data":"e30=","eventSource":"aws:kinesis"}`
	envelope, err := events.Unwrap([]byte("[" + record + "," + record + "]"))
	require.NoError(t, err)
	require.Len(t, envelope.Records, 1)
	require.ErrorContains(t, envelope.Records[0].Err, "payload is an event of aws:kinesis; it must be")
	assert.Equal(t, 2, envelope.Records[0].Count)
}

func TestNoNameOfAForeignPayloadIsLong(t *testing.T) {
	t.Parallel()
	long := quoted(strings.Repeat("x\n", 100_000))
	for _, payload := range []string{
		`{"trigger_type":` + long + `}`, `{"record":[{"event_source":` + long + `}]}`,
		`{"topic_urn":"x","type":` + long + `}`, `{"eventSource":` + strings.Replace(long, `"`, `"aws:`, 1) + `}`,
	} {
		_, err := events.Unwrap([]byte(payload))
		require.Error(t, err)
		assert.Less(t, len(err.Error()), 450)
	}
}
