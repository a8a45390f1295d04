//go:build unix

package handler_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/handler"
	"registrar/internal/hostile"
	"registrar/internal/racedetector"
	"registrar/pkg/events"
)

// What a payload may cost. Its elements are what an array holds, be it an event or not; its events
// are what has a line of its own in the log. Beside each bound stands the worst that was measured.
const (
	mostAllocatedAnyway     = 2 << 20   // 0.4 MiB: a nest of 10,000 arrays, if encoding/json has kept no stack to reuse
	mostAllocatedPerByte    = 40        // 10: JSON in JSON in JSON, five deep
	mostAllocatedPerElement = 4 << 10   // 2.9 KiB: 10,000 lists of Records, 6 MiB
	mostAllocatedPerEvent   = 160 << 10 // 120 KiB: a message of 100 zeros; 82 KiB: an event that names 20 services

	// In bytes of JSON that encoding/json could check in the same time.
	mostTimePerByte    = 60      // 9: JSON in JSON in JSON, five deep
	mostTimePerElement = 10_000  // 1,000: messages in an array
	mostTimePerEvent   = 200_000 // 50,000: a message of 101 events

	mostLine           = 8 << 10 // 3.9 KiB: an event of a type that can't be shown
	mostLoggedPerByte  = 8
	mostLoggedPerEvent = 4 << 10 // 2.7 KiB: an event that names 20 services, none of which is allowed
	mostAnswerPerByte  = 6
	mostAnswerPerEvent = 20 << 10 // 8.3 KiB: an event that names 20 services
	mostAnswer         = 7 << 20  // 5.9 MiB: 5,265 messages that failed, with ids of control characters

	// Four times the payload may take so many times the allocations.
	mostGrowth = 6
)

// cost is what one payload took.
type cost struct {
	size, elements, events int
	allocated              uint64
	time                   time.Duration // that the processor was busy
	log                    counter
	answered               int
}

// counter counts the lines that are written to it, and keeps none.
type counter struct {
	lines, bytes, longest, broken int
}

func (c *counter) Write(line []byte) (int, error) {
	c.lines++
	c.bytes += len(line)
	c.longest = max(c.longest, len(line))
	if bytes.Count(line, []byte("\n")) != 1 || c.lines <= 1000 && !json.Valid(line) {
		c.broken++
	}
	return len(line), nil
}

// notAllowed rejects every service with a long message, without a call.
func notAllowed(_ context.Context, _ events.Event, asked events.BootstrapServices) (events.Result, error) {
	var r events.RegistrationsResult
	for _, s := range asked.ServicePrincipals {
		one := events.Registration{ServicePrincipal: s}
		one.Reject(events.NotAllowed, "%s", strings.Repeat("m", 300))
		r.Registrations = append(r.Registrations, one)
	}
	if r.Registrations == nil {
		r.Outcome = events.Skipped
	}
	return events.ServiceResult{RegistrationsResult: r}, nil
}

func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// spend hands the payload to a function on Lambda, and says what that took.
func spend(t *testing.T, payload []byte) (c cost) {
	t.Helper()
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&c.log, nil)))
	defer slog.SetDefault(before)
	h := &handler.Handler{
		Name:     "register-service",
		Function: handler.NewFunction(events.BootstrapServicesInput(), notAllowed),
	}
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	var from, to runtime.MemStats
	runtime.ReadMemStats(&from)
	start := processorTime(t)
	answer, err := h.Invoke(ctx, payload)
	c.time = processorTime(t) - start
	runtime.ReadMemStats(&to)
	c.size, c.allocated, c.answered = len(payload), to.TotalAlloc-from.TotalAlloc, len(answer)
	if err != nil {
		c.answered = len(err.Error())
	}
	envelope, err := events.Unwrap(payload)
	c.events = len(envelope.Records)
	for _, r := range envelope.Records {
		c.elements += r.Count
	}
	if err != nil || envelope.Shape == events.HTTP { // what was read before is not known
		c.elements = min(len(payload)/2, 10_000)
	}
	return c
}

// floor is how long encoding/json takes to check a byte of JSON.
func floor(t *testing.T) float64 {
	t.Helper()
	zeros := []byte("[" + strings.Repeat("0,", 1<<20) + "0]")
	start := processorTime(t)
	for range 10 {
		assert.True(t, json.Valid(zeros))
	}
	return float64(processorTime(t)-start) / 10 / float64(len(zeros))
}

// This can't run beside others: it measures the whole process.
func TestNoPayloadCostsMoreThanItsShare(t *testing.T) {
	perByte := floor(t)
	sizes, smaller := []int{1 << 10, 64 << 10, 6 << 20}, 32<<10
	if racedetector.Enabled || testing.Short() { // the race detector takes much longer
		sizes, smaller = []int{1 << 10, 16 << 10}, 4<<10
	}
	for _, p := range hostile.Payloads() {
		t.Run(p.Name, func(t *testing.T) {
			for _, size := range sizes {
				c := spend(t, p.Make(size))
				t.Logf("%d bytes, %d elements, %d events: allocated %d, time of %.0f bytes, log %+v, answer %d",
					c.size, c.elements, c.events, c.allocated, float64(c.time)/perByte, c.log, c.answered)
				lines := cmp.Or(p.Lines, c.events+1) // one if the answer would be too large, or nothing is an event
				assert.LessOrEqual(t, c.log.lines, lines, "lines")
				assert.LessOrEqual(t, c.log.longest, mostLine, "the longest line")
				assert.LessOrEqual(t, c.log.bytes, mostLoggedPerByte*c.size+mostLoggedPerEvent*(c.events+1), "the log")
				assert.Zero(t, c.log.broken, "lines that aren't JSON")
				assert.LessOrEqual(t, int(c.allocated), mostAllocatedAnyway+mostAllocatedPerByte*c.size+
					mostAllocatedPerElement*c.elements+mostAllocatedPerEvent*(c.events+1), "allocated")
				assert.LessOrEqual(t, float64(c.time)/perByte, float64(mostTimePerByte*c.size+
					mostTimePerElement*c.elements+mostTimePerEvent*(c.events+10)), "time")
				assert.LessOrEqual(t, c.answered,
					min(mostAnswerPerByte*c.size+mostAnswerPerEvent*(c.events+1), mostAnswer), "the answer")
			}
			small, large := spend(t, p.Make(smaller)), spend(t, p.Make(4*smaller))
			assert.LessOrEqual(t, large.allocated, mostGrowth*small.allocated+mostAllocatedAnyway, "four times")
		})
	}
}

func TestTracesThatAskForNothingShareALine(t *testing.T) {
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	payload := "[" + strings.Join([]string{
		traced("t-1", "listAccounts", `{}`), traced("t-2", "createOrganization", `{}`),
		traced("t-3", "inviteAccount", `{}`),
		traced("t-4", "createAccount", `{"x":1}`), traced("t-5", "createAccountV2", `{"x":1}`),
	}, ",") + "]"
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "lambda-1"})
	h := &handler.Handler{
		Name: "register-admin",
		Function: handler.NewFunction(events.AccountCreatedInput(),
			func(context.Context, events.Event, events.AccountCreated) (events.Result, error) { return nil, nil }),
	}
	answer, err := h.Invoke(ctx, []byte(payload))
	require.NoError(t, err)
	assert.Equal(t, "[null,null,null,null,null]", string(answer))
	var lines []map[string]any
	for line := range strings.Lines(out.String()) {
		fields := map[string]any{}
		require.NoError(t, json.Unmarshal([]byte(line), &fields))
		lines = append(lines, fields)
	}
	require.Len(t, lines, 2)
	for i, want := range []struct {
		level, cause, reason string
		count                float64
	}{
		{"INFO", "t-1", `3 traces ask for nothing, the first because: a trace "listAccounts" of "Organizations"`, 3},
		{"WARN", "t-4", `2 traces ask for nothing, the first because: createAccount of Organizations tells no`, 2},
	} {
		assert.Equal(t, want.level, lines[i]["level"])
		assert.Equal(t, want.cause, lines[i]["cause_id"])
		assert.Contains(t, lines[i]["reason_text"], want.reason)
		assert.InDelta(t, want.count, lines[i]["count"], 0)
		assert.InDelta(t, want.count, lines[i]["Ignored"], 0, "the metric")
	}
}

func TestResultsThatDontFitIntoAnAnswerAreSaid(t *testing.T) {
	t.Parallel()
	event := string(hostile.Services(20)(0))
	array := "[" + strings.Repeat(event+",", 999) + event + "]" // each has a result of 8 KiB
	h := &handler.Handler{
		Name: "register-service", Function: handler.NewFunction(events.BootstrapServicesInput(), notAllowed),
	}
	_, err := h.Invoke(t.Context(), []byte(array))
	invalid, ok := errors.AsType[*events.InvalidEventError](err)
	require.True(t, ok, "%v", err)
	assert.Equal(t, 413, invalid.Status)
	assert.Contains(t, invalid.Reason, "of 1000 events failed: handled, but the results have more bytes than "+
		"the 6291456 of an answer: send the events again, fewer in one payload")

	var messages []message
	for i := range 10 {
		messages = append(messages, message{id: fmt.Sprint(i), body: "[" + strings.Repeat(event+",", 99) + event + "]"})
	}
	answer, err := h.Invoke(t.Context(), batch(t, standard, messages...))
	require.NoError(t, err)
	assert.JSONEq(t, `{"batchItemFailures":[]}`, string(answer), "a queue isn't answered with results")
}

func TestHeadersOfARequestAreBounded(t *testing.T) {
	t.Parallel()
	for length, status := range map[int]int{60 << 10: http.StatusUnsupportedMediaType, 64 << 10: 431} {
		answer, err := newHandler(registered).Invoke(t.Context(), fmt.Appendf(nil,
			`{"requestContext":{"http":{"method":"POST"}},"headers":{"x":%q}}`, strings.Repeat("x", length)))
		require.NoError(t, err)
		var got struct{ StatusCode int }
		require.NoError(t, json.Unmarshal(answer, &got))
		assert.Equal(t, status, got.StatusCode, length)
	}
}
