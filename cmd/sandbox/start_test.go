package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/cmd/internal/show"
	"registrar/internal/lambdalocal"
)

func TestDeadLettersAreReadAndReplayed(t *testing.T) {
	t.Parallel()
	never := filepath.Join(t.TempDir(), "bootstrap")
	require.NoError(t, os.WriteFile(never, nil, 0o755))
	f, err := lambdalocal.New(lambdalocal.Config{Name: "f", Bootstrap: never})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	trigger, err := lambdalocal.NewTrigger(f.Invoke, "f", time.Hour)
	require.NoError(t, err)
	s := &screen{failures: map[string]string{}}
	mux := http.NewServeMux()
	s.serveQueue(mux, "f", trigger)
	request := func(method, path, body string) string {
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
		b, err := io.ReadAll(w.Result().Body)
		require.NoError(t, err)
		return string(b)
	}
	assert.Equal(t, "no dead letters\n", request("GET", "/dead-letters/f", ""))

	event := `{"specversion":"1.0","id":"1","source":"/s","type":"account.created","data":{"account_id":"a"}}`
	id := strings.TrimSpace(request("POST", "/queue/f", event))
	for range lambdalocal.MaxReceiveCount + 1 { // the binary is empty, so it fails
		_, err := trigger.Mapping.Deliver(t.Context())
		require.NoError(t, err)
		trigger.Queue.Advance(time.Hour)
	}
	s.failures[id] = "TransientError: not ready"
	listed := request("GET", "/dead-letters/f", "")
	assert.Regexp(t, `^message `+id+`, sent \d\d:\d\d:\d\d, received 5 times
  account.created account_id=a
  TransientError: not ready
`, listed)
	assert.Contains(t, listed, "\n"+event+"\n", "as it can be sent again")
	delete(s.failures, id)
	assert.Contains(t, request("GET", "/dead-letters/f", ""), "Runtime.InvalidEntrypoint", "what the queue knows of it")

	failed := lambdalocal.Answer{Payload: []byte(`{"errorType":"x"}`)}
	_, err = trigger.Queue.GiveUp(string(destination([]byte(event), failed, 3)))
	require.NoError(t, err)
	assert.Contains(t, request("GET", "/dead-letters/f", ""), "\n  destination: account.created account_id=a\n")
	assert.Equal(t, "2 messages put back into the queue\n", request("POST", "/dead-letters/f/replay", ""))
	assert.Equal(t, "no dead letters\n", request("GET", "/dead-letters/f", ""))
	assert.Len(t, trigger.Queue.Messages(), 2)
}

func TestWhatTheFunctionsGetOfTheEnvironment(t *testing.T) {
	t.Parallel()
	env := environment([]string{
		"DRY_RUN=1", "MAX_ATTEMPTS=2", "REGION_ID=", "AWS_LAMBDA_LOG_LEVEL=DEBUG", "TEXT=a=b",
		"AWS_PROFILE=p", "AWS_LAMBDA_RUNTIME_API=x", "RUNTIME_API_ADDR=x",
		"HUAWEICLOUD_SDK_SK=s", "HUAWEICLOUD_CREDENTIALS_SECRET=s",
		"ORGANIZATIONS_ENDPOINT=x", "RESULT_SINK=x", "K_SINK=x", "HOST=x", "PORT=1",
		"PATH=x", "_HANDLER=x", "LAMBDA_TASK_ROOT=x",
	})
	assert.Equal(t, map[string]string{
		"DRY_RUN": "1", "MAX_ATTEMPTS": "2", "AWS_LAMBDA_LOG_LEVEL": "DEBUG", "TEXT": "a=b",
		"ADMINISTRATORS": "service.SecMaster=id:" + security, "REGION_ID": "",
		"TRUSTED_SERVICES": "service.SecMaster,service.RAM",
	}, env)
	assert.Equal(t, []string{
		"ADMINISTRATORS=service.SecMaster=id:" + security, "REGION_ID= (yours)",
		"TRUSTED_SERVICES=service.SecMaster,service.RAM",
		"DRY_RUN=1 (yours)",
	}, settings(env))
}

func TestWhatBecomesOfMessages(t *testing.T) {
	t.Parallel()
	lines := delivered("http://127.0.0.1:3001", "f", []lambdalocal.Message{
		{ID: "11111111-1"},
		{ID: "22222222-2", Failure: "x", ReceiveCount: 4},
		{ID: "33333333-3", Failure: "x", ReceiveCount: 5},
	})
	assert.Equal(t, []show.Line{
		{Label: "queue", Style: show.Green, Text: "message 11111111 is done"},
		{Label: "queue", Style: show.Yellow, Text: "message 22222222 comes again in 10s, received 4 of 5 times"},
		{
			Label: "dead letter", Style: show.Red, Whole: true,
			Text: "in 10s: message 33333333: curl http://127.0.0.1:3001/dead-letters/f",
		},
	}, lines)
}

func TestAWordForTheShellIsQuotedIfItMustBe(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{
		"a": "a", "http://127.0.0.1:1/x": "http://127.0.0.1:1/x", "service.A,service.B": "service.A,service.B",
		"": "''", "*": "'*'", "a b": "'a b'", "it's": `'it'\''s'`, "$x": "'$x'",
	} {
		out, err := exec.Command("sh", "-c", "printf %s "+quoted(word)).Output()
		require.NoError(t, err)
		assert.Equal(t, word, string(out))
		assert.Equal(t, want, quoted(word))
	}
}
