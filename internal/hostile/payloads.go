// Package hostile is a corpus for tests: payloads that nobody should send, each in any size.
package hostile

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Payload is a payload that costs more than it should, or tries to.
type Payload struct {
	Name string
	Make func(size int) []byte // about size bytes, or fewer if that many make no sense

	// Lines is how many lines of the log it may have at most, whatever its size. 0 is a line for
	// each event.
	Lines int
}

// Payloads are the corpus. Those of events are taken by functions that take org.bootstrap.
func Payloads() []Payload {
	return slices.Concat(
		garbage(), arrays(), singleEvents(), manyEvents(), messages(), traces(), wrapped(), requests(), foreign(),
	)
}

const (
	event   = `{"specversion":"1.0","id":"1","source":"/s","type":"org.bootstrap"}`
	message = `{"messageId":"%d","eventSource":"aws:sqs","body":%s}`
	head    = `{"specversion":"1.0","id":"1","source":"/s","type":"org.bootstrap",` // begins an event
	http2   = `{"rawPath":"/","requestContext":{"http":{"method":"POST"}},`         // begins an HTTP request
)

// garbage are payloads that hold no event at all.
func garbage() []Payload {
	return []Payload{
		{"nothing", func(int) []byte { return nil }, 1},
		{"spaces", fill("", " ", "", ""), 1},
		{"byte order marks", fill("", "\ufeff", "", ""), 1},
		{"byte order marks before an event", fill("", "\ufeff", "", event), 1},
		{"byte order marks in an event", fill(head+`"x":"`, "\ufeff", "", `"}`), 1},
		{"not UTF-8", fill("", "\xff\xfe", "", ""), 1},
		{"not UTF-8 in a text", fill(`{"x":"`, "\xff", "", `"}`), 1},
		{"UTF-16", fill("\xff\xfe", "{\x00", "", ""), 1},
		{"zero bytes", fill("", "\x00", "", ""), 1},
		{"arrays in arrays", func(size int) []byte { return nest("[", "", "]", size/2) }, 1},
		{"arrays that don't end", fill("", "[", "", ""), 1},
		{"objects in objects", func(size int) []byte { return nest(`{"a":`, "1", "}", size/6) }, 1},
		{"nests as deep as JSON is read", func(int) []byte { return nest("[", "1", "]", 10_000) }, 1},
		{"details in details", func(size int) []byte { return nest(detail, event, "}", size/len(detail)) }, 1},
		{"digits", fill("", "9", "", ""), 1},
		{"digits after a point", fill("0.", "9", "", ""), 1},
		{"a large exponent", fill("1e", "9", "", ""), 1},
		{"a text", fill(`"`, "x", "", `"`), 1},
		{"escapes", fill(`"`, `\u0000`, "", `"`), 1},
		{"half surrogates", fill(`{"specversion":"`, `\ud800`, "", `"}`), 1},
		{"a key twice, over and over", fill("{", `"a":0`, ",", "}"), 1},
		{"many members", each("{", `"%d":0`, ",", "}"), 1},
		{"one long key", fill(`{"`, "k", "", `":0}`), 1},
		{"a member of digits", fill(`{"x":`, "9", "", "}"), 1},
		{"a member of arrays", fill(`{"specversion":[`, "[]", ",", "]}"), 1},
		{"a text before an object", fill(`"`, "x", "", `"{}`), 1},
	}
}

// arrays are arrays of what isn't an event. They share a line.
func arrays() []Payload {
	return []Payload{
		{"zeros", fill("[", "0", ",", "]"), 1},
		{"10,000 zeros", tenThousand("0", "", ""), 1},
		{"10,000 texts", tenThousand(`"`, "x", `"`), 1},
		{"10,000 texts of escapes", tenThousand(`"`, `\u0000`, `"`), 1},
		{"10,000 arrays", tenThousand("[0", ",0", "]"), 1},
		{"10,000 arrays in arrays", tenThousand("[[[[", "0,", "0]]]]"), 1},
		{"10,000 objects of nothing", tenThousand("{}", "", ""), 1},
		{"10,000 objects of members", tenThousand(`{"a":0`, "", "}"), 1},
		{"10,000 objects of many members", func(size int) []byte {
			return slices.Concat([]byte("["), slices.Concat(times(10_000, func(i int) []byte {
				return slices.Concat(comma(i), each("{", `"%d":0`, ",", "}")(size/10_000))
			})...), []byte("]"))
		}, 1},
		{"10,000 lists of Records", tenThousand(`{"Records":[0`, ",0", "]}"), 1},
		{"10,000 contexts", tenThousand(`{"requestContext":{"a":[0`, ",0", "]}}"), 1},
		{"10,000 triggers", tenThousand(`{"trigger_type":"`, "\u00a0", `"}`), 1},
		{"10,001 zeros", func(int) []byte { return bytes.Repeat([]byte("[0"+strings.Repeat(",0", 10_000)+"]"), 1) }, 1},
		{"empty arrays", fill("[", "[]", ",", "]"), 1},
		{"a list of Records", fill(`{"Records":[`, "0", ",", "]}"), 1},
		{"a list of records", fill(`{"record":[`, "{}", ",", "]}"), 1},
	}
}

// singleEvents are one event each.
func singleEvents() []Payload {
	attributes := func(format string) func(int) []byte { return each(head, format, ",", "}") }
	return []Payload{
		{"a long id", fill(`{"specversion":"1.0","source":"/s","type":"org.bootstrap","id":"`, "i", "", `"}`), 1},
		{"a long source", fill(`{"specversion":"1.0","id":"1","type":"org.bootstrap","source":"`, "/s", "", `"}`), 1},
		{"a long type", fill(`{"specversion":"1.0","id":"1","source":"/s","type":"`, "t", "", `"}`), 1},
		{
			"a long specversion",
			fill(`{"id":"1","source":"/s","type":"org.bootstrap","specversion":"`, "1", "", `"}`), 1,
		},
		{"a long time", fill(head+`"time":"2026-01-02T03:04:05.`, "9", "", `Z"}`), 1},
		{"a long year", fill(head+`"time":"`, "2", "", `-01-02T03:04:05Z"}`), 1},
		{"a long traceparent", fill(head+`"traceparent":"`, "00-", "", `"}`), 1},
		{"a long tracestate", fill(head+`"tracestate":"`, "a=b,", "", `"}`), 1},
		{"a long media type", fill(head+`"datacontenttype":"application/json`, `;a=\"b\"`, "", `"}`), 1},
		{"an attribute of text", fill(head+`"x":"`, "x", "", `"}`), 1},
		{"an attribute of digits", fill(head+`"x":`, "9", "", `}`), 1},
		{"an attribute of escapes", fill(head+`"x":"`, `\u0000`, "", `"}`), 1},
		{"many attributes", attributes(`"x%d":"y"`), 1},
		{"attributes with odd names", attributes(`"\u0000X-%d\ud800":1`), 1},
		{"an attribute with a long name", fill(head+`"`, "X", "", `":1}`), 1},
		{"data of digits", fill(head+`"data":{"region_id":`, "9", "", "}}"), 1},
		{"a long region", fill(head+`"data":{"region_id":"`, "a-", "", `a"}}`), 1},
		{"data of members", each(head+`"data":{`, `"a%d":0`, ",", "}}"), 1},
		{"data of arrays", fill(head+`"data":{"x":[`, "[]", ",", "]}}"), 1},
		{"data of data", func(size int) []byte { return nest(head+`"data":`, "{}", "}", size/len(head+`"data":`)) }, 1},
		{"base64", fill(head+`"data_base64":"`, "QUFB", "", `"}`), 1},
		{"base64 of zeros", func(size int) []byte {
			zeros := "[0" + strings.Repeat(",0", size*3/8) + "]"
			return []byte(head + `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(zeros)) + `"}`)
		}, 1},
		{"not base64", fill(head+`"data_base64":"`, "=", "", `"}`), 1},
		{"20 services", Services(20), 1},
		{"21 services", Services(21), 1},
		{"100,000 services", Services(100_000), 1},
		{"a service over and over", fill(head+`"data":{"service_principals":[`, `"a"`, ",", "]}}"), 1},
		{"a long service", fill(head+`"data":{"service_principals":["`, "s", "", `"]}}`), 1},
		{"services of escapes", fill(head+`"data":{"service_principals":["`, `\u2028`, "", `"]}}`), 1},
		{"rules in the data", fill(head+`"data":{"ADMINISTRATORS":"`, "service.A=id:1,", "",
			`","service_principals":["*","service.A=id:1"]}}`), 1},
	}
}

// manyEvents are arrays of events, each of which has a line.
func manyEvents() []Payload {
	const long = 1 << 10 // bytes of an attribute, as many as are taken
	return []Payload{
		{"10,000 events", tenThousand(head+`"x":"`, "x", `"}`), 0},
		{"10,001 events", func(size int) []byte {
			whole := tenThousand(head+`"x":"`, "x", `"}`)(size)
			return slices.Concat(whole[:len(whole)-1], []byte(","+event+"]"))
		}, 0},
		{"events with long ids", each("[", `{"specversion":"1.0","source":"/s","type":"org.bootstrap","id":"%08d`+
			strings.Repeat("i", long-8)+`"}`, ",", "]"), 0},
		{"events with ids of quotes", each("[", `{"specversion":"1.0","source":"/s","type":"org.bootstrap","id":"%08d`+
			strings.Repeat(`\"`, long-8)+`"}`, ",", "]"), 0},
		{"events with ids of line separators", each("[",
			`{"specversion":"1.0","source":"/s","type":"org.bootstrap","id":"%08d`+
				strings.Repeat("\u2028", (long-8)/3)+`"}`, ",", "]"), 0},
		{"events of types that can't be shown", each("[", `{"specversion":"1.0","id":"%d","source":"/s","type":"`+
			strings.Repeat("\U0010ffff", long/4)+`"}`, ",", "]"), 0},
		{"events with ids, and nothing else", each("[", `{"specversion":"1.0","id":"%d"}`, ",", "]"), 0},
		{"events without ids", fill("[", `{"specversion":"1.0","source":"/s","type":"org.bootstrap"}`, ",", "]"), 1},
		{"events of another type", each("[", `{"specversion":"1.0","id":"%d","source":"/s","type":"t"}`, ",", "]"), 0},
		{"events with 20 services", func(size int) []byte {
			one := Services(20)(0)
			return fill("[", string(one), ",", "]")(min(size, 10_000*(len(one)+1)))
		}, 0},
	}
}

// messages are batches of SQS.
func messages() []Payload {
	ten := func(n int, body string) func(int) []byte { // up to so many messages
		return func(size int) []byte {
			one := len(fmt.Sprintf(message, n, quote(body)))
			return each(`{"Records":[`, strings.ReplaceAll(message, "%s", escape(quote(body))), ",", "]}")(
				min(size, one*n))
		}
	}
	array := func(n int) string { return "[" + strings.Repeat(event+",", n-1) + event + "]" }
	bare := func(n int) string { return "[" + strings.Repeat(`{"specversion":"1.0","id":"1"},`, n-1) + event + "]" }
	return []Payload{
		{"messages", ten(10_000, event), 0},
		{"messages of nothing", ten(10_000, ""), 0},
		{"more messages than there are", ten(1_000_000, ""), 0},
		{"messages of 100 events", ten(10_000, array(100)), 0},
		{"messages of 100 events that have nothing but an id", ten(10_000, bare(100)), 0},
		{"messages of 101 events", ten(10_000, array(101)), 0},
		{"messages of zeros", ten(10_000, "[0"+strings.Repeat(",0", 98)+"]"), 0},
		{"a message of events", func(size int) []byte {
			return fmt.Appendf(nil, `{"Records":[`+message+`]}`, 1, quote(array(max(size/len(event)/2, 1))))
		}, 0},
		{"messages of one group", each(`{"Records":[`, `{"messageId":"%d","eventSource":"aws:sqs",`+
			`"eventSourceARN":"arn:aws:sqs:x:1:q.fifo","attributes":{"MessageGroupId":"g"},"body":""}`, ",", "]}"), 0},
		{"messages without an id", fill(`{"Records":[`, `{"eventSource":"aws:sqs","body":""}`, ",", "]}"), 1},
		{"a message with a long id", fill(`{"Records":[{"eventSource":"aws:sqs","messageId":"`, "m", "", `"}]}`), 1},
		{"messages with odd ids", each(`{"Records":[`, `{"messageId":"%d`+strings.Repeat(`\u0001`, 190)+
			`","eventSource":"aws:sqs","body":""}`, ",", "]}"), 0},
		{"a message with long attributes", fill(`{"Records":[{"eventSource":"aws:sqs","messageId":"m",`+
			`"body":"","attributes":{"SentTimestamp":"`, "9", "", `"}}]}`), 1},
		{"a message of Pipes and ones", fill(`[`+fmt.Sprintf(message, 1, `""`)+`,`, "1", ",", "]"), 1},
		{"messages in an array", each("[", `{"Records":[`+strings.ReplaceAll(message, "%s", `""`)+`]}`, ",", "]"), 1},
		{"messages in messages", func(size int) []byte {
			inner := each(`{"Records":[`, strings.ReplaceAll(message, "%s", `""`), ",", "]}")(size / 2)
			return fmt.Appendf(nil, `{"Records":[`+message+`]}`, 1, quote(string(inner)))
		}, 0},
	}
}

// traces are traces of CTS. Those that ask for nothing share a line.
func traces() []Payload {
	trace := func(name, rest string) string {
		return `{"cts":{"service_type":"Organizations","trace_name":"` + name + `","trace_id":"t%d"` + rest + `}}`
	}
	created := `,"response":{"create_account_status":{"account_id":"a"}}`
	return []Payload{
		{"traces of nothing", each("[", trace("listAccounts", ""), ",", "]"), 1},
		{"traces with names of their own", each("[", trace("name%[1]d", ""), ",", "]"), 1},
		{"traces of another function", each("[", trace("createAccount", created), ",", "]"), 1},
		{"traces without an account", each("[", trace("createAccount", ""), ",", "]"), 1},
		{"traces that failed", each("[", trace("createOrganization", `,"code":"%[1]d999"`), ",", "]"), 1},
		{"traces", each("[", trace("createOrganization", ""), ",", "]"), 0},
		{
			"traces without an id",
			fill("[", strings.ReplaceAll(trace("createOrganization", ""), "t%d", ""), ",", "]"), 0,
		},
		{
			"a trace with a long id",
			fill(strings.TrimSuffix(trace("createOrganization", ""), `%d"}}`), "t", "", `"}}`), 1,
		},
		{
			"a trace with a long name",
			fill(`{"cts":{"service_type":"Organizations","trace_name":"`, `\u2028`, "", `"}}`), 1,
		},
		{"a trace of long code", fill(`{"cts":{"service_type":"Organizations","trace_name":"createOrganization",`+
			`"code":"`, "9", "", `"}}`), 1},
		{"a trace of a long time", fill(`{"cts":{"service_type":"Organizations","trace_name":"createOrganization",`+
			`"trace_id":"t","time":`, "9", "", `}}`), 1},
		{"a trace of a long answer", fill(`{"cts":{"service_type":"Organizations","trace_name":"createAccount",`+
			`"response":"[`, "0,", "", `0]"}}`), 1},
		{"messages of traces", func(size int) []byte {
			body := quote(strings.ReplaceAll(trace("listAccounts", ""), "%d", ""))
			return each(`{"Records":[`, strings.ReplaceAll(message, "%s", escape(body)), ",", "]}")(size)
		}, 0},
	}
}

const detail = `{"detail-type":"t","source":"s","detail":`

// wrapped are events in wrappings.
func wrapped() []Payload {
	inside := func(depth int) func(int) []byte {
		return func(size int) []byte {
			text := event
			for len(text) < size>>depth { // each wrapping makes about twice as many quotes
				text = head + `"x":"` + strings.Repeat("x", max(size>>depth-len(text), 1)) + `"}`
			}
			for i := range depth {
				switch i % 3 {
				case 0:
					text = detail + text + "}"
				case 1:
					text = `{"Type":"Notification","TopicArn":"t","MessageId":"m","Message":` + quote(text) + `}`
				default:
					text = `{"Records":[` + fmt.Sprintf(message, i, quote(text)) + `]}`
				}
			}
			return []byte(text)
		}
	}
	return []Payload{
		{"four wrappings", inside(4), 1},
		{"five wrappings", inside(5), 1},
		{"nine wrappings", inside(9), 1},
		{"quotes in quotes", func(size int) []byte {
			text := strings.Repeat(`"`, max(size/64, 1))
			for range 5 {
				text = detail + quote(text) + "}"
			}
			return []byte(text)
		}, 1},
		{"a detail of zeros", fill(detail+"[", "0", ",", "]}"), 1},
		{
			"a detail with a long time",
			fill(`{"detail-type":"t","source":"s","id":"1","detail":{},"time":"`, "9", "", `"}`), 1,
		},
		{"a long detail-type", fill(`{"source":"s","id":"1","detail":{},"detail-type":"`, "t", "", `"}`), 1},
		{"notifications", fill(`{"Records":[`, `{"EventSource":"aws:sns","Sns":{"Message":""}}`, ",", "]}"), 1},
		{
			"notifications of Huawei Cloud",
			fill(`{"record":[`, `{"event_source":"smn","smn":{"message":"{}"}}`, ",", "]}"), 1,
		},
		{"destinations in destinations", func(size int) []byte {
			const record = `{"requestContext":{"condition":"x"},"requestPayload":`
			return nest(record, event, "}", size/len(record))
		}, 1},
		{"a destination of zeros", fill(`{"requestContext":{"condition":"x"},"requestPayload":[`, "0", ",", "]}"), 1},
		{
			"a destination with a long condition",
			fill(`{"requestPayload":{},"requestContext":{"condition":"`, "x", "", `"}}`), 1,
		},
		{"a destination with a long status", fill(`{"requestPayload":{},"requestContext":{"condition":"x"},`+
			`"responseContext":{"statusCode":`, "9", "", `}}`), 1},
		{"a timer with a long event", fill(`{"trigger_type":"TIMER","time":"2026-01-02T03:04:05Z","user_event":"`+
			`{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"/s\",\"type\":\"org.bootstrap\",\"x\":\"`,
			"x", "", `\"}"}`), 1},
		{
			"a timer of a long time",
			fill(`{"trigger_type":"TIMER","user_event":`+quote(event)+`,"time":"`, "9", "", `"}`), 1,
		},
		{"a timer without an event", fill(`{"trigger_type":"TIMER","user_event":"`, "x", "", `"}`), 1},
	}
}

// requests are requests of a function URL.
func requests() []Payload {
	zipped := func(size int) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write(bytes.Repeat([]byte(" "), size*100)) // to memory
		_ = w.Close()
		return base64.StdEncoding.EncodeToString(b.Bytes())
	}
	const structured = `"headers":{"content-type":"application/cloudevents+json"},"body":"`
	return []Payload{
		{"a request with many headers", each(http2+`"body":"","headers":{`, `"h%d":"v"`, ",", "}}"), 1},
		{"a request with many cookies", each(http2+`"body":"","cookies":[`, `"c%d"`, ",", "]}"), 1},
		{"a request with a long query", each(http2+`"queryStringParameters":{`, `"q%d":""`, ",", "}}"), 1},
		{"a request with a long header", fill(http2+`"headers":{"content-type":"`, "x", "", `"}}`), 1},
		{"a request with a media type of parameters", each(
			http2+`"headers":{"content-type":"application/json`, `;p%d=1`,
			"", `"}}`), 1},
		{
			"a request with many attributes",
			each(http2+`"headers":{"ce-specversion":"1.0",`, `"ce-x%d":"v"`, ",", "}}"), 1,
		},
		{
			"a request with a long attribute",
			fill(http2+`"headers":{"ce-specversion":"1.0","ce-id":"`, "%25", "", `"}}`), 1,
		},
		{
			"a request with a long path",
			fill(`{"requestContext":{"http":{"method":"POST"}},"rawPath":"`, "/", "", `"}`), 1,
		},
		{"a request with a long method", fill(`{"requestContext":{"http":{"method":"`, "M", "", `"}}}`), 1},
		{"a request with a long body", fill(http2+structured, " ", "", `"}`), 1},
		{"a request of zeros", fill(http2+`"headers":{"content-type":"application/cloudevents-batch+json"},"body":"[`,
			"0", ",", `]"}`), 1},
		{"a request with base64", fill(http2+`"isBase64Encoded":true,`+structured, "ICAg", "", `"}`), 1},
		{"a request with a zipped body", func(size int) []byte {
			return []byte(http2 + `"isBase64Encoded":true,"headers":{"content-type":"application/cloudevents+json",` +
				`"content-encoding":"gzip"},"body":"` + zipped(size) + `"}`)
		}, 1},
		{"a request of parts", fill(http2+`"headers":{"content-type":"multipart/form-data; boundary=b"},"body":"`,
			`--b\r\n\r\n`, "", `"}`), 1},
		{"a request in an event", func(size int) []byte {
			return slices.Concat([]byte(detail), fill(http2+structured, " ", "", `"}`)(size), []byte("}"))
		}, 1},
		{"a request with a context of members", each(
			`{"requestContext":{"http":{"method":"POST"},"authorizer":{"lambda":{`,
			`"a%d":0`, ",", "}}}}"), 1},
	}
}

// foreign are payloads of other services, blown up.
func foreign() []Payload {
	const value = `{"topic":"t","partition":0,"offset":1,"value":"e30="}`
	return []Payload{
		{"Kafka", fill(`{"eventSource":"aws:kafka","records":{"t-0":[`, value, ",", "]}}"), 1},
		{"Kafka of Pipes", fill("[", `{"eventSource":"aws:kafka","value":"e30="}`, ",", "]"), 1},
		{"MQ", fill(`{"eventSource":"aws:mq","messages":[`, `{"messageID":"m","data":"e30="}`, ",", "]}"), 1},
		{"Firehose", fill(`{"deliveryStreamArn":"d","records":[`, `{"recordId":"r","data":"e30="}`, ",", "]}"), 1},
		{"Kinesis", fill(`{"Records":[`, `{"eventSource":"aws:kinesis","kinesis":{"data":"e30="}}`, ",", "]}"), 1},
		{"S3", fill(`{"Records":[`, `{"eventSource":"aws:s3","s3":{"object":{"key":"k"}}}`, ",", "]}"), 1},
		{"S3 batch", fill(`{"invocationSchemaVersion":"1.0","tasks":[`, `{"taskId":"t","s3Key":"k"}`, ",", "]}"), 1},
		{"CloudWatch Logs", fill(`{"awslogs":{"data":"`, "H4sIAAAAAAAA", "", `"}}`), 1},
		{"Bedrock", fill(`{"messageVersion":"1.0","agent":{"name":"a"},"inputText":"`, "x", "", `"}`), 1},
		{"WebSocket", fill(
			`{"requestContext":{"routeKey":"$connect","connectionId":"c","eventType":"CONNECT"},"body":"`,
			"x", "", `"}`), 1},
		{"API Gateway", each(`{"resource":"/","httpMethod":"POST","headers":{`, `"h%d":""`, ",", "}}"), 1},
		{"DIS", fill(`{"ShardID":"s","StreamName":"n","Message":{"records":[`, `{"data":"e30="}`, ",", "]}}"), 1},
		{"LTS", fill(`{"lts":{"data":"`, "H4sI", "", `"}}`), 1},
	}
}

// fill makes payloads of units between a beginning and an end.
func fill(begin, unit, separator, end string) func(size int) []byte {
	return func(size int) []byte {
		n := max((size-len(begin)-len(end))/(len(unit)+len(separator)), 1)
		units := strings.Repeat(unit+separator, n-1) + unit
		return []byte(begin + units + end)
	}
}

// each makes payloads of units that have the number of the unit in them.
func each(begin, format, separator, end string) func(size int) []byte {
	return func(size int) []byte {
		b := []byte(begin)
		for i := 0; i == 0 || len(b)+len(format)+len(end) < size; i++ {
			if i > 0 {
				b = append(b, separator...)
			}
			b = fmt.Appendf(b, format, i)
		}
		return append(b, end...)
	}
}

// tenThousand makes arrays of as many elements as are taken, each with its share of the size.
func tenThousand(begin, unit, end string) func(size int) []byte {
	return func(size int) []byte {
		share := size/10_000 - len(begin) - len(end) - 1
		element := begin + strings.Repeat(unit, max(share, 0)/max(len(unit), 1)) + end
		n := min(10_000, max(size/(len(element)+1), 1))
		return []byte("[" + strings.Repeat(element+",", n-1) + element + "]")
	}
}

func nest(begin, middle, end string, depth int) []byte {
	return []byte(strings.Repeat(begin, depth) + middle + strings.Repeat(end, depth))
}

// Services makes events that name so many services, or as many as fit.
func Services(n int) func(size int) []byte {
	return func(size int) []byte {
		var names []string
		for i := range n {
			names = append(names, fmt.Sprintf("s%d", i))
		}
		list, _ := json.Marshal(names) // texts can't fail
		return []byte(head + `"data":{"service_principals":` + string(list) + `}}`)
	}
}

func times(n int, make func(i int) []byte) (all [][]byte) {
	for i := range n {
		all = append(all, make(i))
	}
	return all
}

func comma(i int) []byte {
	if i == 0 {
		return nil
	}
	return []byte(",")
}

func quote(text string) string {
	quoted, _ := json.Marshal(text) // a text can't fail
	return string(quoted)
}

// escape makes a text that stands in a format stay as it is.
func escape(text string) string { return strings.ReplaceAll(text, "%", "%%") }
