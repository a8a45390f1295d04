package handler

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

const decodeHint = "decode encoded_authorization_message with Huawei Cloud STS, POST /v5/decode-authorization-message, to see which policy denied the call"

// line is the one line that is logged about an event.
type line struct {
	function string
	record   events.Record
	subject  string // empty if unknown
	start    time.Time
	cold     bool            // it is the first of the process
	calls    []time.Duration // how long each attempt of a call to Huawei Cloud took
	outcome  events.Result   // nil if there is none
	err      error           // nil or one of the three named errors
	stack    []byte          // of a panic
}

// log writes the line: info, warn if the event will be delivered again, error if a person must act.
func (l *line) log(ctx context.Context) {
	level, message, metric := slog.LevelInfo, "event handled", ""
	took := time.Since(l.start)
	attrs := []slog.Attr{
		slog.String("cause_id", l.record.Event.ID),
		slog.String("type", l.record.Event.Type),
		slog.String("source", l.record.Event.Source),
		slog.String("subject", l.subject),
		slog.Int64("duration_ms", took.Milliseconds()),
	}
	if l.record.MessageID != "" {
		attrs = append(attrs, slog.String("message_id", l.record.MessageID))
	}
	switch {
	case l.err != nil:
		level, message = slog.LevelError, "event failed"
		metric = strings.TrimSuffix(typeName(l.err), "Error")
		if metric == "Transient" {
			level = slog.LevelWarn
		}
		attrs = append(attrs, slog.String("error_type", typeName(l.err)), slog.String("err", l.err.Error()))
		if failed, ok := errors.AsType[*client.APIError](l.err); ok {
			attrs = append(attrs, slog.String("request_id", failed.RequestID))
			if failed.EncodedAuthorizationMessage != "" {
				attrs = append(attrs, slog.String("encoded_authorization_message", failed.EncodedAuthorizationMessage),
					slog.String("hint", decodeHint))
			}
		}
		if l.stack != nil {
			attrs = append(attrs, slog.String("stack", string(l.stack)))
		}
	default:
		whole := l.outcome.Summary()
		metric = strings.ToUpper(string(whole.Outcome[:1])) + string(whole.Outcome[1:])
		if whole.Outcome == events.Rejected {
			level = slog.LevelError
			attrs = append(attrs, slog.String("reason", string(whole.Reason)), slog.String("reason_text", whole.Message))
		}
		attrs = append(attrs, slog.String("outcome", string(whole.Outcome)),
			slog.Int("attempts", whole.Attempts), slog.String("request_id", whole.RequestID))
	}
	if lambda, ok := lambdacontext.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("requestId", lambda.AwsRequestID))
		attrs = append(attrs, l.metrics(metric, took)...)
	}
	slog.LogAttrs(ctx, level, message, attrs...)
}

// metrics make the line one in CloudWatch's embedded metric format, so that CloudWatch counts and times what it says. The function is the only
// dimension: whatever has many values is a field to be searched for. Source: "Embedded metric format specification" of the CloudWatch user guide.
func (l *line) metrics(outcome string, took time.Duration) []slog.Attr {
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	latencies := make([]float64, 0, len(l.calls))
	for _, call := range l.calls {
		latencies = append(latencies, milliseconds(call))
	}
	directives := directive{"Registrar", [][]string{{"function"}}, []metric{{outcome, "Count"}, {"Duration", "Milliseconds"}, {"HuaweiCloudAttempts", "Count"}}}
	attrs := []slog.Attr{
		slog.String("function", l.function), slog.Int(outcome, 1), slog.Float64("Duration", milliseconds(took)), slog.Int("HuaweiCloudAttempts", len(l.calls)),
	}
	if len(l.calls) > 0 {
		directives.Metrics = append(directives.Metrics, metric{"HuaweiCloudLatency", "Milliseconds"})
		attrs = append(attrs, slog.Any("HuaweiCloudLatency", latencies[:min(len(latencies), 100)])) // at most 100 values
	}
	if l.cold {
		directives.Metrics = append(directives.Metrics, metric{"ColdStart", "Count"})
		attrs = append(attrs, slog.Int("ColdStart", 1))
	}
	return append(attrs, slog.Any("_aws", struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}{time.Now().UnixMilli(), []directive{directives}}))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// newLogger logs JSON in Lambda's form, which its console and its log level filter understand.
func newLogger(level string) *slog.Logger {
	var l slog.Level // info, also for what slog doesn't know
	_ = l.UnmarshalText([]byte(level))
	return slog.New(slog.NewJSONHandler(os.Stdout, &slog.HandlerOptions{Level: l, ReplaceAttr: lambdacontext.ReplaceAttr}))
}

// libraryLog takes the lines of package log, in which aws-lambda-go repeats each error that an invocation ended in. Ours said it
// already; anything else it has to say is trouble with the runtime.
type libraryLog struct{}

func (libraryLog) Write(line []byte) (int, error) {
	if !bytes.Contains(line, []byte(`"errorType":`)) {
		slog.Error("runtime", "err", string(bytes.TrimSpace(line)))
	}
	return len(line), nil
}

// traceParent is Lambda's trace header in the form of the W3C, empty if there is none.
func traceParent(ctx context.Context) string {
	header, _ := ctx.Value("x-amzn-trace-id").(string)
	root := regexp.MustCompile(`Root=1-([0-9a-f]{8})-([0-9a-f]{24})`).FindStringSubmatch(header)
	parent := regexp.MustCompile(`Parent=([0-9a-f]{16})`).FindStringSubmatch(header)
	if root == nil || parent == nil {
		return ""
	}
	flags := "00"
	if sampled, _ := regexp.MatchString(`Sampled=1`, header); sampled {
		flags = "01"
	}
	return "00-" + root[1] + root[2] + "-" + parent[1] + "-" + flags
}
