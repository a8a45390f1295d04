package decisions

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/functiongraphlocal"
	"registrar/internal/huaweitest"
	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

// timeout is that of a built function and of its start. Other tests need the cores, too.
const timeout = time.Minute

// built is a built function on its way to a host.
type built struct {
	name, bootstrap string
	env             map[string]string
	cloud           *huaweitest.Cloud
	log             *buffer
}

// runBuilt runs the rows that are Built, each on each host. Each kind of end must be among them.
func (f Function[C]) runBuilt(t *testing.T) {
	missing := map[string]bool{}
	for _, table := range f.Tables {
		for _, row := range table.Rows {
			for kind := range strings.SplitSeq(row.Want+", "+row.Each, ", ") {
				missing[kind] = missing[kind] || !f.hasBuilt(kind)
			}
		}
	}
	maps.DeleteFunc(missing, func(_ string, is bool) bool { return !is })
	assert.Empty(t, missing, "no row with such an outcome is Built")

	name := f.name(t)
	bootstrap := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-buildvcs=false", "-tags", "lambda.norpc",
		"-ldflags=-s -w", "-o", bootstrap, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for host, invoke := range map[string]func(*built, *testing.T, []byte) end{
		"Lambda": (*built).onLambda, "FunctionGraph": (*built).onFunctionGraph, "HTTP": (*built).onHTTP,
	} {
		for _, table := range f.Tables {
			for _, row := range table.Rows {
				if !row.Built {
					continue
				}
				t.Run(host+"/"+table.Title+"/"+row.Name, func(t *testing.T) {
					t.Parallel()
					cloud, sink := row.cloud(), &buffer{}
					b := &built{name, bootstrap, maps.Clone(f.env(table.Env)), cloud, &buffer{}}
					b.env["IDENTITYCENTER_ENDPOINT"] = serve(t, cloud)
					b.env["ORGANIZATIONS_ENDPOINT"] = b.env["IDENTITYCENTER_ENDPOINT"]
					b.env["RESULT_SINK"] = serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
						body, _ := io.ReadAll(r.Body)
						_, _ = sink.Write(append(body, '\n'))
					}))
					done := invoke(b, t, f.payload(t, row))
					f.check(t, row, done, cloud, sink.events(t))
					f.emitted.add(b.log.String())
				})
			}
		}
	}
}

// name is that of the function's folder.
func (f Function[C]) name(t *testing.T) string {
	t.Helper()
	folder, err := os.Getwd()
	require.NoError(t, err)
	return filepath.Base(folder)
}

// hasBuilt reports whether a row that is Built ends so, as a whole or in a part.
func (f Function[C]) hasBuilt(kind string) bool {
	for _, table := range f.Tables {
		for _, row := range table.Rows {
			if row.Built && strings.Contains(", "+row.Want+", "+row.Each+",", ", "+kind+",") {
				return true
			}
		}
	}
	return false
}

// serve serves HTTP until the test ends.
func serve(t *testing.T, h http.Handler) (url string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	t.Cleanup(server.Close)
	return server.URL
}

func (b *built) withKeys() map[string]string {
	b.env["HUAWEICLOUD_SDK_AK"], b.env["HUAWEICLOUD_SDK_SK"] = accessKey, secretKey
	b.env["HUAWEICLOUD_SDK_SECURITY_TOKEN"] = securityToken
	return b.env
}

func (b *built) onLambda(t *testing.T, payload []byte) end {
	f, err := lambdalocal.New(lambdalocal.Config{
		Name: b.name, Bootstrap: b.bootstrap, Env: b.withKeys(), Timeout: timeout, InitTimeout: timeout, Log: b.log,
	})
	require.NoError(t, err)
	defer f.Close()
	answer, err := f.Invoke(t.Context(), payload)
	require.NoError(t, err)
	return ended(t, answer)
}

// onFunctionGraph runs the function with an agency: its keys are the same, but it finds them
// elsewhere.
func (b *built) onFunctionGraph(t *testing.T, payload []byte) end {
	f, err := functiongraphlocal.New(functiongraphlocal.Config{
		Name: b.name, Bootstrap: b.bootstrap, Env: b.env, Timeout: timeout, InitTimeout: timeout, Log: b.log,
		Headers: func() http.Header {
			header := http.Header{}
			header.Set("X-CFF-Access-Key", accessKey)
			header.Set("X-CFF-Secret-Key", secretKey)
			header.Set("X-CFF-Security-Token", securityToken)
			return header
		},
	})
	require.NoError(t, err)
	defer f.Close()
	answer, err := f.Invoke(t.Context(), payload)
	require.NoError(t, err)
	return ended(t, answer)
}

// ended is the answer of a host that invokes functions.
func ended(t *testing.T, answer lambdalocal.Answer) end {
	t.Helper()
	if answer.FunctionError == "" {
		return end{answer: answer.Payload}
	}
	var failure struct{ ErrorType, ErrorMessage string }
	require.NoError(t, json.Unmarshal(answer.Payload, &failure), "%s", answer.Payload)
	return end{nil, failure.ErrorType, failure.ErrorMessage}
}

func (b *built) onHTTP(t *testing.T, payload []byte) end {
	ctx, stop := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, b.bootstrap)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "PORT=0"}
	for name, value := range b.withKeys() {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = b.log, b.log
	require.NoError(t, cmd.Start())
	defer func() {
		stop()
		_ = cmd.Wait()
	}()
	address := regexp.MustCompile(`"address":"(127\.0\.0\.1:\d+)"`)
	var found []string
	require.Eventually(t, func() bool {
		found = address.FindStringSubmatch(b.log.String())
		return found != nil
	}, timeout, 5*time.Millisecond, "%s", b.log)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+found[1], bytes.NewReader(payload))
	require.NoError(t, err)
	req.Header.Set("Content-Type", events.StructuredMediaType)
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	if resp.StatusCode == http.StatusOK {
		return end{answer: body}
	}
	var problem struct {
		Type   string `json:"error_type"`
		Detail string
	}
	require.NoError(t, json.Unmarshal(body, &problem), "%s", body)
	return end{nil, problem.Type, problem.Detail}
}
