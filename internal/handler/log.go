package handler

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

const decodeHint = "decode encoded_authorization_message with Huawei Cloud STS, " +
	"POST /v5/decode-authorization-message, to see which policy denied the call"

// logLine is the one line that is logged about an event.
type logLine struct {
	function string
	record   events.Record
	start    time.Time
	cold     bool          // the event is the first of the process
	result   events.Result // nil if there is none; beside err, what was known when it failed
	err      error         // nil or one of the three named errors
	heldBack bool          // the event stays untouched, for the reason that err gives
	ignored  *events.Trace // the trace that asks for nothing, else nil
	stack    []byte        // where the function panicked

	mu    sync.Mutex
	calls []time.Duration // how long each attempt of a call to Huawei Cloud took
}

// watch takes how long an attempt took. Calls may be made at the same time.
func (l *logLine) watch(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls = append(l.calls, took)
}

type requestIDKey struct{}

// WithRequestID returns a context in whose lines the host's id of the invocation stands. On Lambda
// it is there anyway.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// logRefusal logs a payload that holds no events, or an invocation that can't handle any.
func (h *Handler) logRefusal(ctx context.Context, err error) {
	l := logLine{function: h.Name, start: time.Now(), err: err}
	l.log(ctx)
}

// log writes the line: at warn if the event will be delivered again, at error if a person must act.
// If lines of that level aren't logged, the metrics are written without the rest.
func (l *logLine) log(ctx context.Context) {
	took := time.Since(l.start)
	level, message, metric, attrs := l.content()
	if l.record.MessageID != "" {
		attrs = append(attrs, slog.String("message_id", l.record.MessageID))
	}
	if l.record.Count > 1 {
		attrs = append(attrs, slog.Int("count", l.record.Count))
	}
	attrs = append(attrs, slog.Int64("duration_ms", took.Milliseconds()))

	logger := slog.Default().Handler()
	requestID, _ := ctx.Value(requestIDKey{}).(string)
	lambda, onLambda := lambdacontext.FromContext(ctx)
	if !logger.Enabled(ctx, level) {
		if !onLambda {
			return
		}
		level, message, attrs = slog.LevelInfo, "metrics", nil
	}
	attrs = append(attrs, slog.String("function", l.function))
	if onLambda {
		requestID = lambda.AwsRequestID
		attrs = l.metrics(attrs, metric, took)
	}
	if requestID != "" { // the host's own id; request_id is Huawei Cloud's for one of its calls
		attrs = append(attrs, slog.String("requestId", requestID))
	}
	r := slog.NewRecord(time.Now(), level, message, 0)
	r.AddAttrs(attrs...)
	_ = logger.Handle(ctx, r)
}

// content is what the line says, and the metric that counts it.
func (l *logLine) content() (_ slog.Level, message, metric string, attrs []slog.Attr) {
	subject := ""
	if l.result != nil {
		subject = l.result.Subject()
	}
	attrs = make([]slog.Attr, 0, 24) // room for those of nearly every line
	attrs = append(attrs,
		slog.String("cause_id", l.record.Event.ID), // as in the result: the event is its cause
		slog.String("type", l.record.Event.Type),
		slog.String("source", l.record.Event.Source),
		slog.String("subject", subject))
	if l.result != nil {
		attrs = l.outcome(attrs)
	}
	switch {
	case l.heldBack:
		return slog.LevelInfo, "event held back", "HeldBack", append(attrs, slog.String("err", l.err.Error()))
	case l.ignored != nil:
		level := slog.LevelInfo
		if l.ignored.Suspect {
			level = slog.LevelWarn
		}
		return level, "event ignored", "Ignored", append(attrs, slog.String("reason_text", l.ignored.Ignored))
	case l.err != nil:
		meaning := meaningOf(l.err)
		return meaning.level, "event failed", metricName(meaning.name), l.failure(attrs, meaning.name)
	}
	level, outcome := slog.LevelInfo, l.result.Whole().Outcome
	metric = metricName(string(outcome))
	switch {
	case outcome == events.Rejected && events.IsRequest(l.record.Event.Type):
		level, metric = slog.LevelError, metric+"Request" // the next audit tells of it again
	case outcome == events.Rejected:
		level = slog.LevelError
	case outcome == events.Drifted:
		level = slog.LevelWarn
	}
	return level, "event handled", metric, attrs
}

// outcome adds what became of the event as a whole and of each thing that it asks for. Every change
// is logged, also if the event fails in the end, unless the function panics.
func (l *logLine) outcome(attrs []slog.Attr) []slog.Attr {
	type registration struct {
		RegionID         events.RegionID         `json:"region_id,omitempty"`
		ServicePrincipal events.ServicePrincipal `json:"service_principal,omitempty"`
		Outcome          events.Outcome          `json:"outcome"`
		Attempts         int                     `json:"attempts"`
		RequestID        string                  `json:"request_id,omitempty"`
		Reason           events.Reason           `json:"reason,omitempty"`
	}
	registrations := []registration{}
	for _, r := range l.result.Each() {
		registrations = append(registrations, registration{
			r.RegionID, r.ServicePrincipal, r.Outcome, r.Attempts, r.RequestID, r.Reason,
		})
	}
	whole := l.result.Whole()
	attrs = append(attrs,
		slog.Int("attempts", whole.Attempts), slog.String("request_id", whole.RequestID),
		slog.Any("registrations", registrations))
	if found := l.findings(); found != nil {
		attrs = append(attrs,
			slog.String("region_wanted", string(found.Region.Wanted)),
			slog.String("region_observed", string(found.Region.Observed)),
			slog.Int("absent", found.Absent()),
			slog.Int("missing", found.Counts.Missing), slog.Int("missing_services", found.Counts.MissingServices),
			slog.Int("unexpected", found.Counts.Unexpected), slog.Int("unmatched", found.Counts.Unmatched),
			slog.Int("inactive", found.Counts.Inactive), slog.Any("unexpected_administrators", unexpected(found)),
			slog.Int("requests_sent", found.RequestsSent))
	}
	if l.err == nil {
		attrs = append(attrs, slog.String("outcome", string(whole.Outcome)))
	}
	if whole.Outcome == events.Rejected {
		attrs = append(attrs, slog.String("reason", string(whole.Reason)), slog.String("reason_text", whole.Message))
	}
	return attrs
}

// findings are what an audit found, nil if the event wasn't one or the audit couldn't read all.
func (l *logLine) findings() *events.AuditFindings {
	audit, _ := l.result.(events.AuditResult)
	return audit.AuditFindings
}

// unexpected are the first administrators that nobody wanted, each an account and its service.
func unexpected(found *events.AuditFindings) []string {
	const most = 10
	all := []string{}
	for _, a := range found.Unexpected[:min(most, len(found.Unexpected))] {
		all = append(all, string(a.AccountID)+"="+string(a.ServicePrincipal))
	}
	return all
}

// failure adds why the event failed.
func (l *logLine) failure(attrs []slog.Attr, name string) []slog.Attr {
	attrs = append(attrs, slog.String("error_type", name), slog.String("err", l.err.Error()))
	if failed, ok := errors.AsType[*client.APIError](l.err); ok {
		attrs = append(attrs, slog.String("failed_request_id", failed.RequestID))
		if failed.EncodedAuthorizationMessage != "" {
			attrs = append(attrs, slog.String("hint", decodeHint),
				slog.String("encoded_authorization_message", failed.EncodedAuthorizationMessage))
		}
	}
	if l.stack != nil {
		attrs = append(attrs, slog.String("stack", string(l.stack)))
	}
	return attrs
}

// traceParent is Lambda's trace header as a W3C traceparent, empty if there is none. The header is
// like Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1.
func traceParent(ctx context.Context) string {
	header, _ := ctx.Value("x-amzn-trace-id").(string)
	trace, parent, flags := "", "", "00"
	for part := range strings.SplitSeq(header, ";") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(part), "="); name {
		case "Root":
			trace = strings.ReplaceAll(strings.TrimPrefix(value, "1-"), "-", "")
		case "Parent":
			parent = value
		case "Sampled":
			if value == "1" {
				flags = "01"
			}
		}
	}
	if !isHex(trace, 32) || !isHex(parent, 16) {
		return ""
	}
	return "00-" + trace + "-" + parent + "-" + flags
}

func isHex(text string, size int) bool {
	return len(text) == size && strings.Trim(text, "0123456789abcdef") == ""
}
