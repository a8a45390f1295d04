package handler

import (
	"cmp"
	"log/slog"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// metricName is the metric that counts an outcome ("registered") or a failure ("TransientError").
func metricName(counted string) string {
	return strings.ToUpper(counted[:1]) + strings.TrimSuffix(counted[1:], "Error")
}

// metrics adds the fields that make the line one in CloudWatch's embedded metric format, so that
// CloudWatch counts and times what it says. The only dimension is the deployed function, by the
// name that Lambda's own metrics use, so that two stages in one account don't share metrics. What
// has many values is not a dimension but a field of the line to search for. The format is described
// in "Embedded metric format specification" of the CloudWatch user guide.
func (l *logLine) metrics(attrs []slog.Attr, counted string, took time.Duration) []slog.Attr {
	type metric struct{ Name, Unit string }
	type directive struct {
		Namespace  string
		Dimensions [1][1]string
		Metrics    []metric
	}
	declared := []metric{{counted, "Count"}, {"Duration", "Milliseconds"}, {"HuaweiCloudAttempts", "Count"}}
	attrs = append(attrs,
		slog.String("FunctionName", cmp.Or(lambdacontext.FunctionName, l.function)),
		slog.Int(counted, max(l.record.Count, 1)), slog.Float64("Duration", milliseconds(took)),
		slog.Int("HuaweiCloudAttempts", len(l.calls)))
	if found := l.findings(); found != nil { // alarms need the zeros, too
		declared = append(declared, metric{"Missing", "Count"}, metric{"Unexpected", "Count"})
		attrs = append(attrs, slog.Int("Missing", found.Absent()), slog.Int("Unexpected", found.Counts.Unexpected))
	}
	if len(l.calls) > 0 {
		latencies := make([]float64, min(len(l.calls), 100)) // at most 100 values are allowed
		for i := range latencies {
			latencies[i] = milliseconds(l.calls[i])
		}
		declared = append(declared, metric{"HuaweiCloudLatency", "Milliseconds"})
		attrs = append(attrs, slog.Any("HuaweiCloudLatency", latencies))
	}
	if l.cold {
		declared = append(declared, metric{"ColdStart", "Count"})
		attrs = append(attrs, slog.Int("ColdStart", 1))
	}
	return append(attrs, slog.Any("_aws", struct {
		Timestamp         int64
		CloudWatchMetrics [1]directive
	}{time.Now().UnixMilli(), [1]directive{{"Registrar", [1][1]string{{"FunctionName"}}, declared}}}))
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
