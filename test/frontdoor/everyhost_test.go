package frontdoor

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/functiongraphlocal"
	"registrar/internal/huaweitest"
	"registrar/pkg/events"
)

// Each sample is answered the same on every host, by every function: in the same state of the
// cloud, for the first time and again. The page about hosts says which of them come to the HTTP
// server; it refuses the others. FunctionGraph refuses requests of function URLs.
func TestEachSampleIsAnsweredTheSameOnEveryHost(t *testing.T) {
	t.Parallel()
	comes := comeByHTTP(t)
	files, err := filepath.Glob("../../events/*.json")
	require.NoError(t, err)
	functions, err := filepath.Glob(filepath.Join(dist, "*", "bootstrap"))
	require.NoError(t, err)
	assert.Len(t, comes, len(files), "docs/hosts/README.md has a row for each sample")
	for _, file := range files {
		name := filepath.Base(file)
		byHTTP, ok := comes[name]
		require.True(t, ok, "docs/hosts/README.md has no row for %s", name)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			payload := []byte(sample(t, name))
			for _, path := range functions {
				function := filepath.Base(filepath.Dir(path))
				want := answersOn(t, onLambda, function, payload)
				other := answersOn(t, onFunctionGraph, function, payload)
				if bytes.Contains(payload, []byte(`"rawPath"`)) { // there are no function URLs
					assert.Contains(t, fmt.Sprint(other), "InvalidEventError", function)
				} else {
					assert.Equal(t, want, other, function)
				}
				answers, taken := answersByHTTP(t, function, payload)
				if byHTTP {
					assert.Equal(t, want, answers, function)
				} else {
					assert.False(t, taken, "%s takes it by HTTP", function)
				}
			}
		})
	}
}

// comeByHTTP says of each sample whether it comes to the HTTP server, as the table of the page
// about hosts does. Lambda and FunctionGraph take whatever their senders send.
func comeByHTTP(t *testing.T) map[string]bool {
	t.Helper()
	page, err := os.ReadFile("../../docs/hosts/README.md")
	require.NoError(t, err)
	rows := map[string]bool{}
	for _, row := range regexp.MustCompile(`(?m)^\| \[[a-z-]+\]\(\.\./\.\./events/([a-z-]+\.json)\) `+
		`\| (?:yes|no) \| (?:yes|no) \| (yes|no) \|$`).FindAllStringSubmatch(string(page), -1) {
		rows[row[1]] = row[2] == "yes"
	}
	return rows
}

// sampleStage is a stage that is configured as dev is, with the accounts of the samples.
func sampleStage(t *testing.T) *stage {
	t.Helper()
	s := newStage(t)
	maps.Copy(s.env, shipped(t))
	s.AddAccount("0b6e2d41c58f4a3796d0e1f2a3b4c5d6", "active")
	return s
}

// answersOn are a function's answers to a payload and to its redelivery.
func answersOn(t *testing.T, host, name string, payload []byte) (answers []any) {
	t.Helper()
	s := sampleStage(t)
	s.host = host
	f := s.start(t, name)
	for range 2 {
		answer, err := f.Invoke(t.Context(), payload)
		require.NoError(t, err)
		answers = append(answers, stable(t, answer.Payload))
	}
	return answers
}

// answersByHTTP are the same of the HTTP server, and whether it takes the payload. A problem shows
// the error as other hosts do.
func answersByHTTP(t *testing.T, name string, payload []byte) (answers []any, taken bool) {
	t.Helper()
	s := sampleStage(t)
	url, _ := s.serveHTTP(t, name)
	status, _, _ := post(t, url, "application/json", payload)
	assert.Equal(t, http.StatusUnsupportedMediaType, status)
	for range 2 {
		status, mediaType, body := post(t, url, cloudEventsType(payload), payload)
		taken = status == http.StatusOK
		if status != http.StatusOK {
			var problem struct {
				Type   string `json:"error_type"`
				Detail string
			}
			require.Equal(t, "application/problem+json", mediaType)
			require.NoError(t, json.Unmarshal(body, &problem))
			body, _ = json.Marshal(failure{problem.Type, problem.Detail})
		}
		answers = append(answers, stable(t, body))
	}
	return answers, taken
}

// cloudEventsType is the media type of what the payload looks like.
func cloudEventsType(payload []byte) string {
	if bytes.HasPrefix(bytes.TrimSpace(payload), []byte("[")) {
		return events.BatchMediaType
	}
	return events.StructuredMediaType
}

// post sends a payload.
func post(t *testing.T, url, as string, payload []byte) (status int, mediaType string, body []byte) {
	t.Helper()
	resp, err := http.Post(url, as, bytes.NewReader(payload))
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err = io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, resp.Header.Get("Content-Type"), body
}

// stable is an answer without what differs from one invocation to the next.
func stable(t *testing.T, answer []byte) any {
	t.Helper()
	var v any
	require.NoError(t, json.Unmarshal(answer, &v), "%s", answer)
	return without(v)
}

func without(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if body, ok := v["body"].(string); ok && json.Valid([]byte(body)) { // the answer of a function URL
			var inner any
			_ = json.Unmarshal([]byte(body), &inner)
			v["body"] = inner
		}
		for name := range v {
			switch strings.ToLower(name) {
			case "time", "traceparent", "request_id":
				delete(v, name)
			default:
				key := name
				if lower := strings.ToLower(name); lower == "errortype" || lower == "errormessage" {
					key = lower
				}
				inner := without(v[name])
				delete(v, name)
				v[key] = inner
			}
		}
		return v
	case []any:
		for i := range v {
			v[i] = without(v[i])
		}
	}
	return v
}

// A trace is a hint: whatever it says is read back, and an account that the rules don't name costs
// reads only.
func TestAForgedTraceCostsReadsOnly(t *testing.T) {
	t.Parallel()
	const thief = "0b6e2d41c58f4a3796d0e1f2a3b4c5d6"
	traces := map[string]string{
		"created": `"trace_name":"createAccount","service_type":"Organizations",` +
			`"response":{"create_account_status":{"account_id":"` + thief + `","id":"car-0001"}}`,
		"being created": `"trace_name":"createAccountV2","service_type":"Organizations",` +
			`"response":{"create_account_status":{"id":"car-0001"}}`,
		"joined": `"trace_name":"acceptHandshake","service_type":"Organizations",` +
			`"user":{"domain":{"id":"` + thief + `","name":"security"}}`,
		"enrolled": `"trace_name":"enrollAccount","service_type":"RGC","response":{"account_id":"` + thief + `"}`,
		"naming services": `"trace_name":"createAccount","service_type":"Organizations","service_principals":["` + cts +
			`"],"request":{"service_principals":["` + cts + `"]},"response":{"service_principals":["` + cts +
			`"],"create_account_status":{"account_id":"` + account + `"}}`,
		"elsewhere": `"trace_name":"createAccount","service_type":"Organizations","resource_id":"` + account +
			`","user":{"domain":{"id":"` + account + `"}},"request":{"account_id":"` + account + `"},"response":{}`,
	}
	for how, rules := range map[string]string{
		"by its id":   secMaster + "=id:another",
		"by its name": secMaster + "=name:security",
	} {
		for name, trace := range traces {
			t.Run(how+" "+name, func(t *testing.T) {
				t.Parallel()
				onEachHost(t, func(t *testing.T, s *stage) {
					s.env["ADMINISTRATORS"] = rules
					s.InviteAccount(thief, "security") // it calls itself what it likes
					s.SetCreateAccountStatus("car-0001", "succeeded", thief)
					payload := fmt.Sprintf(`{"cts":{"trace_id":"forged","record_time":%d,%s}}`,
						time.Now().UnixMilli(), trace)
					answer, err := s.start(t, "register-admin").Invoke(t.Context(), []byte(payload))
					require.NoError(t, err)
					require.Empty(t, answer.FunctionError, "%s", answer.Payload)
					if name == "elsewhere" {
						assert.Equal(t, "null", string(answer.Payload))
						assert.Equal(t, "WARN", s.log.parse(t)[0]["level"])
					} else {
						assert.Equal(t, "account.admin.skipped", resultsIn(t, answer.Payload)[0].Type)
					}
					assert.Empty(t, s.Delegations(thief))
					assert.Empty(t, s.Delegations(account))
					for _, call := range s.calls() {
						assert.True(t, strings.HasPrefix(call, "GET "), call)
					}
				})
			})
		}
	}
}

// Where a host brings credentials, they are that event's alone.
func TestOnFunctionGraphEachInvocationHasItsOwnCredentials(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.host = onFunctionGraph
	s.eventsChoose()
	f := s.start(t, "register-admin")
	for n := range 3 {
		_, failed := s.invokeOn(t, f, created(both))
		require.Nil(t, failed)
		issued := s.Issued()
		require.Len(t, issued, n+1)
		requests := s.Requests()
		last := requests[len(requests)-1]
		assert.Contains(t, last.Header.Get("Authorization"), "Access="+issued[n].AccessKey+",")
		assert.Equal(t, issued[n].SecurityToken, last.Header.Get("X-Security-Token"))
		s.RemoveCredentials(issued[n].AccessKey)
	}
	assert.NotContains(t, s.log.String(), "MIIexampleAuthToken")
}

func TestOnFunctionGraphWithoutAnAgencyTheErrorSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		drop string // the header that doesn't come
		want string
	}{
		"no agency": {"", "credentials: there are none: give the function an agency, or set HUAWEICLOUD_SDK_AK"},
		"a part":    {"X-CFF-Secret-Key", "without X-CFF-Secret-Key: check the agency"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.host = onFunctionGraph
			s.given = func(header http.Header) {
				if c.drop == "" {
					clear(header)
				}
				header.Del(c.drop)
			}
			failed := s.fail(t, "register-region", bootstrap(north))
			assert.Equal(t, "MisconfiguredError", failed.ErrorType)
			assert.Contains(t, failed.ErrorMessage, c.want)
			assert.Empty(t, s.calls())
		})
	}
}

// Somebody who can reach the server can also send these headers.
func TestTheHTTPServerIgnoresHeadersOfFunctionGraph(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	url, _ := s.serveHTTP(t, "register-region")
	given := s.IssueTemporary(time.Hour)
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(bootstrap(north)))
	require.NoError(t, err)
	req.Header.Set("Content-Type", events.StructuredMediaType)
	for name, value := range map[string]string{
		"Access-Key": given.AccessKey, "Secret-Key": given.SecretKey, "Security-Token": given.SecurityToken,
		"Security-Access-Key": given.AccessKey, "Security-Secret-Key": given.SecretKey,
	} {
		req.Header.Set("X-CFF-"+name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	require.NoError(t, err)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	s.showsNoSecret(t, "the answer", string(body))
	for _, r := range s.Requests() {
		assert.NotContains(t, r.Header.Get("Authorization"), given.AccessKey)
	}
}

// An event that FunctionGraph gave up is in the record that its destination gets, and the function
// takes that record.
func TestAnEventThatFailedOnFunctionGraphCanBeSentAgain(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.env["MAX_ATTEMPTS"] = "1"
	f, err := functiongraphlocal.New(functiongraphlocal.Config{
		Name: "register-admin", Bootstrap: filepath.Join(dist, "register-admin", "bootstrap"),
		Env: s.withoutKeys(), Timeout: s.timeout, Log: s.log, Headers: s.agency,
		Refuse: 3, // polls
	})
	require.NoError(t, err)
	t.Cleanup(f.Close)
	failed := make(chan functiongraphlocal.Record, 1)
	server := httptest.NewServer(functiongraphlocal.InvokeAPI{
		Functions: []*functiongraphlocal.Function{f}, RetryWaits: []time.Duration{0, 0, 0},
		OnFailure: func(r functiongraphlocal.Record) { failed <- r },
	})
	t.Cleanup(server.Close)
	s.Script("GET", "", huaweitest.Fault{Status: 503, Code: "Organizations.1000", Times: 4})
	trace := sample(t, "cts-create-account.json")
	resp, err := http.Post(server.URL+f.InvocationPath()+"-async", "application/json", strings.NewReader(trace))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusAccepted, resp.StatusCode)

	record := <-failed
	assert.Equal(t, "TransientError", record.RequestContext.Condition)
	assert.Equal(t, 4, record.RequestContext.ApproximateInvokeCount)
	assert.Empty(t, s.Delegations(account))
	again, err := json.Marshal(record)
	require.NoError(t, err)
	answer, err := f.Invoke(t.Context(), again)
	require.NoError(t, err)
	require.Empty(t, answer.FunctionError, "%s", answer.Payload)
	assert.Equal(t, "account.admin.registered", resultsIn(t, answer.Payload)[0].Type)
	assert.Equal(t, []string{secMaster, cts}, s.Delegations(account))
}
