package handler

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"regexp"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

const decodeHint = "decode encoded_authorization_message with Huawei Cloud STS, POST /v5/decode-authorization-message, to see which policy denied the call"

// log writes the one line about an event: info, warn if it will be delivered again, error if a person must act.
func log(ctx context.Context, record events.Record, outcome events.Result, err error, stack []byte, took time.Duration) {
	level, message := slog.LevelInfo, "event handled"
	attrs := []slog.Attr{
		slog.String("cause_id", record.Event.ID),
		slog.String("type", record.Event.Type),
		slog.String("source", record.Event.Source),
		slog.Int64("duration_ms", took.Milliseconds()),
	}
	if record.MessageID != "" {
		attrs = append(attrs, slog.String("message_id", record.MessageID))
	}
	if lambda, ok := lambdacontext.FromContext(ctx); ok {
		attrs = append(attrs, slog.String("requestId", lambda.AwsRequestID))
	}
	switch {
	case err != nil:
		level, message = slog.LevelError, "event failed"
		if _, transient := errors.AsType[*TransientError](err); transient {
			level = slog.LevelWarn
		}
		attrs = append(attrs, slog.String("error_type", typeName(err)), slog.String("err", err.Error()))
		if failed, ok := errors.AsType[*client.APIError](err); ok {
			attrs = append(attrs, slog.String("request_id", failed.RequestID))
			if failed.EncodedAuthorizationMessage != "" {
				attrs = append(attrs, slog.String("encoded_authorization_message", failed.EncodedAuthorizationMessage),
					slog.String("hint", decodeHint))
			}
		}
		if stack != nil {
			attrs = append(attrs, slog.String("stack", string(stack)))
		}
	default:
		whole := outcome.Summary()
		if whole.Outcome == events.Rejected {
			level = slog.LevelError
			attrs = append(attrs, slog.String("reason", string(whole.Reason)), slog.String("reason_text", whole.Message))
		}
		attrs = append(attrs, slog.String("outcome", string(whole.Outcome)), slog.String("subject", outcome.Subject()),
			slog.Int("attempts", whole.Attempts), slog.String("request_id", whole.RequestID))
	}
	slog.LogAttrs(ctx, level, message, attrs...)
}

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
