package client_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/racedetector"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// What a call may cost, whatever answers it. Beside each bound stands the worst that was measured.
const (
	mostCalls     = 100       // 100: lists whose marker is always new
	mostRead      = 1<<20 + 1 // bytes of one answer
	mostText      = 2 << 10   // 1.2 KiB of an error: a long message, which is cut
	mostAllocated = 32 << 20  // 10.4 MiB for each answer of 1 MiB
	deadline      = time.Minute
)

// calls are all calls, each by what it needs of a client.
func calls() map[string]func(context.Context, *client.Client) error {
	session := client.Session{AgencyURN: "iam::a:agency:n", Name: "registrar"}
	return map[string]func(context.Context, *client.Client) error{
		"RegisteredRegions": func(ctx context.Context, c *client.Client) error {
			_, err := c.RegisteredRegions(ctx)
			return err
		},
		"RegisterRegion": func(ctx context.Context, c *client.Client) error {
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			return err
		},
		"Account": func(ctx context.Context, c *client.Client) error {
			_, err := c.Account(ctx, account)
			return err
		},
		"Accounts": func(ctx context.Context, c *client.Client) error {
			_, err := c.Accounts(ctx)
			return err
		},
		"CreateAccountStatus": func(ctx context.Context, c *client.Client) error {
			_, err := c.CreateAccountStatus(ctx, "car-1")
			return err
		},
		"DelegatedAdministrators": func(ctx context.Context, c *client.Client) error {
			_, err := c.DelegatedAdministrators(ctx, secMaster)
			return err
		},
		"DelegatedServices": func(ctx context.Context, c *client.Client) error {
			_, err := c.DelegatedServices(ctx, account)
			return err
		},
		"TrustedServices": func(ctx context.Context, c *client.Client) error {
			_, err := c.TrustedServices(ctx)
			return err
		},
		"Services": func(ctx context.Context, c *client.Client) error {
			_, err := c.Services(ctx)
			return err
		},
		"EnableTrustedService": func(ctx context.Context, c *client.Client) error {
			_, err := c.EnableTrustedService(ctx, secMaster)
			return err
		},
		"RegisterDelegatedAdministrator": func(ctx context.Context, c *client.Client) error {
			_, err := c.RegisterDelegatedAdministrator(ctx, account, secMaster)
			return err
		},
		"AssumeAgency": func(ctx context.Context, c *client.Client) error {
			_, err := c.AssumeAgency(ctx, session)
			return err
		},
		"AssumeAgencyWithOIDC": func(ctx context.Context, c *client.Client) error {
			_, err := c.AssumeAgencyWithOIDC(ctx, session, "iam::a:oidcProvider:p", "a.b.c")
			return err
		},
	}
}

// answer is what comes back for the n-th call, from 1.
type answer struct {
	status int
	header http.Header
	body   func(ctx context.Context, n int) io.Reader

	read, write attempt.Kind // what it means for a list and for a write; "" is a success
}

func text(body string) func(context.Context, int) io.Reader {
	return func(context.Context, int) io.Reader { return strings.NewReader(body) }
}

// endless is a body of the same text over and over, of which each read waits.
type endless struct {
	ctx   context.Context
	text  string
	wait  time.Duration
	total int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.wait > 0 {
		select {
		case <-e.ctx.Done():
			return 0, e.ctx.Err()
		case <-time.After(e.wait):
		}
	}
	n := 0
	for n < len(p) {
		n += copy(p[n:], e.text)
	}
	if e.wait > 0 {
		n = 1
	}
	e.total += n
	return n, nil
}

// hostileAnswers are answers that nobody should give.
func hostileAnswers() map[string]answer {
	const transient, misconfigured, refused = attempt.Transient, attempt.Misconfigured, attempt.Refused
	long := func(n int) string { return strings.Repeat("x", n) }
	// lists are all lists at once, each with the items.
	lists := func(items, marker string) string {
		var b strings.Builder
		b.WriteString(`{"page_info":{"next_marker":` + marker + `}`)
		for _, list := range []string{
			"regions", "accounts", "delegated_administrators", "delegated_services", "trusted_services", "services",
		} {
			b.WriteString(`,"` + list + `":` + items)
		}
		return b.String() + "}"
	}
	always := func(marker string) func(context.Context, int) io.Reader {
		return func(_ context.Context, n int) io.Reader {
			return strings.NewReader(lists("[]", fmt.Sprintf(marker, n)))
		}
	}
	refuse := func(members string) string { return `{"error_code":"Organizations.1","error_msg":"m"` + members + `}` }
	all := map[string]answer{
		"100 MB": {200, nil, func(ctx context.Context, _ int) io.Reader {
			return io.LimitReader(&endless{ctx: ctx, text: " "}, 100<<20)
		}, transient, ""},
		"100 MB of an error": {400, nil, func(ctx context.Context, _ int) io.Reader {
			return io.LimitReader(&endless{ctx: ctx, text: `{"error_code":"Organizations.1"}`}, 100<<20)
		}, transient, transient},
		"a byte a second, for ever": {200, nil, func(ctx context.Context, _ int) io.Reader {
			return &endless{ctx: ctx, text: " ", wait: time.Second}
		}, transient, ""},
		"a byte a second of an error": {404, nil, func(ctx context.Context, _ int) io.Reader {
			return &endless{ctx: ctx, text: "{", wait: time.Second}
		}, transient, transient},
		"arrays in arrays":   {200, nil, text(strings.Repeat("[", 1<<20)), transient, ""},
		"objects in objects": {400, nil, text(strings.Repeat(`{"error":`, 100_000)), transient, transient},
		"members":            {200, nil, text("{" + numbered(`"%d":0`, 1<<18) + "}"), transient, ""},
		"members of an error": {
			400, nil, text("{" + numbered(`"%d":0`, 1<<18) + `,"error_code":"IIC.1"}`), refused, refused,
		},
		"a long code": {
			400, nil, text(`{"error_code":"` + long(1<<19) + `","error_msg":"` + long(1<<18) + `"}`),
			transient, transient,
		},
		"a long message": {
			400, nil, text(`{"error_code":"IIC.1","error_msg":"` + long(1<<17) + `"}`), refused, refused,
		},
		"a long id":         {400, nil, text(refuse(`,"request_id":"` + long(1<<17) + `"`)), refused, refused},
		"a long id, header": {400, http.Header{"X-Request-Id": {long(1 << 16)}}, text(refuse("")), refused, refused},
		"a long explanation": {
			403, nil, text(refuse(`,"encoded_authorization_message":"` + long(1<<17) + `"`)),
			misconfigured, misconfigured,
		},
		"a long media type": {502, http.Header{"Content-Type": {long(1 << 16)}}, text("x"), transient, transient},
		"a message to a terminal": {
			400,
			http.Header{"X-Request-Id": {"\x1b[31m\r\nid"}},
			text(`{"error_code":"IIC.1","error_msg":"\u001b[31m\r\n\u2028\u2029\u0085\u009b"}`),
			refused, refused,
		},
		"a message that isn't UTF-8": {
			400, nil, text("{\"error_code\":\"IIC.1\",\"error_msg\":\"\xff\xfe\xed\xa0\x80\"}"), refused, refused,
		},
		"another charset": {
			400,
			http.Header{"Content-Type": {"application/json; charset=utf-16"}},
			text("\xff\xfe{\x00}\x00"),
			transient, transient,
		},
		"nulls":          {200, nil, text(lists("null", "null")), "", ""},
		"lists of null":  {200, nil, text(lists("[null]", "null")), transient, ""},
		"lists of empty": {200, nil, text(lists(`[{}]`, "null")), transient, ""},
		"null":           {200, nil, text("null"), transient, ""},
		"an error of null": {
			400, nil, text(`{"error_code":null,"error_msg":null,"error":null}`), transient, transient,
		},
		"numbers for all":             {200, nil, text(lists("5", "5")), transient, ""},
		"markers of numbers":          {200, nil, text(lists("[]", "5")), transient, ""},
		"a marker that is always new": {200, nil, always(`"m%d"`), transient, ""},
		"a marker that repeats":       {200, nil, always(`"m%.0d"`), transient, ""},
		"a marker of junk":            {200, nil, always(`"\r\n&limit=1#%d"`), transient, ""},
		"a long marker":               {200, nil, text(lists("[]", `"`+long(1<<17)+`"`)), transient, ""},
		"a long list, over and over": {200, nil, func(_ context.Context, n int) io.Reader {
			return strings.NewReader(fmt.Sprintf(`{"page_info":{"next_marker":"%d"},"trusted_services":[%s]}`, n,
				strings.TrimSuffix(strings.Repeat(`{"service_principal":"a"},`, 40_000), ",")))
		}, transient, ""},
		"ids that can't be": {200, nil, text(lists(`[{"id":"../..","region_id":"\u0000","account_id":"","status":"",`+
			`"service_principal":"","join_method":7}]`, "null")), transient, ""},
		"keys of a megabyte": {200, nil, text(`{"credentials":{"access_key_id":"` + long(1<<17) +
			`","secret_access_key":"x","security_token":"x"}}`), transient, ""},
		"a redirect": {
			302, http.Header{"Location": {"http://169.254.169.254/"}}, text(""), misconfigured, misconfigured,
		},
	}
	for _, status := range []int{0, 99, 600, 999} {
		all[fmt.Sprint("status ", status)] = answer{status, nil, text(refuse("")), transient, transient}
	}
	for i, junk := range []string{
		"-1", "1e9", "99999999999999999999999999", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "0x10", "\x00", "1, 2",
		"Mon, 01 Jan 0001 00:00:00 GMT", long(1 << 16),
	} {
		header := http.Header{"Retry-After": {junk}, "Date": {junk}}
		all[fmt.Sprint("Retry-After of junk ", i)] = answer{429, header, text(refuse("")), transient, transient}
		all[fmt.Sprint("Date of junk ", i)] = answer{
			401, header, text(`{"error_code":"APIGW.0301","error_msg":"m"}`), misconfigured, misconfigured,
		}
	}
	return all
}

// numbered is a list of about size bytes.
func numbered(format string, size int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < size-50; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// counted counts what is read of a body.
type counted struct {
	io.Reader
	most *int
	n    int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += n
	*c.most = max(*c.most, c.n)
	return n, err
}

func (c *counted) Close() error { return nil }

// This can't run beside others: it measures the whole process.
func TestNoAnswerCostsMoreThanItsShare(t *testing.T) {
	worst := map[string]int{}
	for name, a := range hostileAnswers() {
		t.Run(name, func(t *testing.T) {
			for operation, call := range calls() {
				kinds := map[string]attempt.Kind{"TrustedServices": a.read, "RegisterRegion": a.write}
				want, known := kinds[operation]
				if racedetector.Enabled && !known {
					continue // it would take long: .ci/run runs all of them without it
				}
				synctest.Test(t, func(t *testing.T) {
					n, most := 0, 0
					transport := roundTripper(func(r *http.Request) (*http.Response, error) {
						n++
						header := a.header.Clone()
						if header == nil {
							header = http.Header{}
						}
						body := &counted{Reader: a.body(r.Context(), n), most: &most}
						return &http.Response{StatusCode: a.status, Header: header, Body: body}, nil
					})
					settings := config(transport)
					if !known {
						settings.MaxAttempts = 1
					}
					c := client.New(settings, client.Static(credentials(keys())))
					ctx, cancel := context.WithTimeout(t.Context(), deadline)
					defer cancel()
					var from, to runtime.MemStats
					runtime.ReadMemStats(&from)
					start := time.Now()
					err := call(ctx, c)
					took := time.Since(start)
					runtime.ReadMemStats(&to)
					allocated := int(to.TotalAlloc-from.TotalAlloc) / max(n, 1)

					assert.LessOrEqual(t, n, mostCalls, operation)
					assert.LessOrEqual(t, most, mostRead, "%s: bytes read", operation)
					assert.LessOrEqual(t, took, deadline, operation)
					assert.LessOrEqual(t, allocated, mostAllocated, operation)
					worst["calls"], worst["allocated"] = max(worst["calls"], n), max(worst["allocated"], allocated)
					worst["read"] = max(worst["read"], most)
					if err != nil {
						text := err.Error()
						worst["text"] = max(worst["text"], len(text))
						assert.LessOrEqual(t, len(text), mostText, operation)
						assert.True(t, utf8.ValidString(text), operation)
						assert.False(t, strings.ContainsFunc(text, unicode.IsControl), "%s: %q", operation, text)
						require.ErrorContains(t, err, operation)
					}
					switch {
					case !known:
					case want == "":
						assert.NoError(t, err, operation)
					default:
						require.Error(t, err, operation)
						assert.Equal(t, want, attempt.KindOf(err), "%s: %s", operation, err)
					}
				})
			}
		})
	}
	t.Log(worst)
}

func TestCredentialsThatNoHeaderCouldHoldAreNotTaken(t *testing.T) {
	t.Parallel()
	for length, taken := range map[int]bool{30 << 10: true, 32 << 10: false} {
		cloud := roundTripper(func(*http.Request) (*http.Response, error) {
			body := fmt.Sprintf(`{"credentials":{"access_key_id":"a","secret_access_key":"s","security_token":%q}}`,
				strings.Repeat("x", length))
			return &http.Response{
				StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)),
			}, nil
		})
		settings := config(cloud)
		settings.MaxAttempts = 1
		c := client.New(settings, client.Static(credentials(keys())))
		_, err := c.AssumeAgency(t.Context(), client.Session{AgencyURN: "iam::a:agency:n", Name: "registrar"})
		if taken {
			assert.NoError(t, err)
			continue
		}
		require.ErrorContains(t, err, "its credentials are longer than 32768 bytes")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
	}
}

func TestAListOfMoreThan50000EntriesIsNotRead(t *testing.T) {
	t.Parallel()
	for entries, calls := range map[int]int{500: 100, 501: 100, 50_000: 2} {
		n := 0
		transport := roundTripper(func(*http.Request) (*http.Response, error) {
			n++
			page := fmt.Sprintf(`{"page_info":{"next_marker":"%d"},"delegated_administrators":[%s]}`, n,
				strings.TrimSuffix(strings.Repeat(`{"account_id":"a"},`, entries), ","))
			body := io.NopCloser(strings.NewReader(page))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: body}, nil
		})
		c := client.New(config(transport), client.Static(credentials(keys())))
		_, err := c.DelegatedAdministrators(t.Context(), "")
		require.ErrorContains(t, err, "DelegatedAdministrators: the list has more than ")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		assert.Equal(t, calls, n, "pages of %d entries: %v", entries, err)
	}
}

// What net/http itself must bound, through a real connection.
func TestNoConnectionCostsMoreThanItsShare(t *testing.T) {
	t.Parallel()
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, c := range map[string]struct {
		begin, again string // is sent first, and then over and over until the connection ends
		most         int    // bytes that may be sent before; the rest is what networks keep
		want         string
	}{
		"10 MB of headers": {
			ok, "X: " + strings.Repeat("x", 1000) + "\r\n", 64 << 10, "malformed HTTP [redacted]",
		},
		"one endless header":    {ok + "X: ", "x", 64 << 10, "malformed HTTP [redacted]"},
		"headers by thousands":  {ok, "X: x\r\n", 64 << 10, "malformed HTTP [redacted]"},
		"100 Continue for ever": {"", "HTTP/1.1 100 Continue\r\n\r\n", 64 << 10, "malformed HTTP [redacted]"},
		"103 Early Hints for ever": {
			"", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", 64 << 10, "malformed HTTP [redacted]",
		},
		"an endless status": {"HTTP/1.1 200 ", "x", 64 << 10, "malformed HTTP [redacted]"},
		"no HTTP at all":    {"", "<html>\r\n", 64 << 10, "malformed HTTP [redacted]"},
		"an endless chunk": {
			ok + "Transfer-Encoding: chunked\r\n\r\nfffffff\r\n", " ", 1 << 20, "it is larger than",
		},
		"chunks of one byte": {
			ok + "Transfer-Encoding: chunked\r\n\r\n", "1\r\n \r\n", 8 << 20, "the answer can't be read: ",
		},
		"an endless chunk size": {
			ok + "Transfer-Encoding: chunked\r\n\r\n", "0", 64 << 10, "the answer can't be read: ",
		},
		"endless trailers": {
			ok + "Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n0\r\n", "X: x\r\n", 64 << 10,
			"the answer can't be read: ",
		},
		"another length, twice": {
			ok + "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", "x", 64 << 10, "malformed HTTP [redacted]",
		},
		"a length below zero":  {ok + "Content-Length: -5\r\n\r\n", "x", 64 << 10, "malformed HTTP [redacted]"},
		"more than its length": {ok + "Content-Length: 2\r\n\r\n", "{}", 64 << 10, "it has no list of regions"},
		"a bomb that is zipped": {
			ok + "Content-Encoding: gzip\r\n\r\n" + zippedSpaces(10<<20), "", 200 << 10, "it is larger than",
		},
		"zipped junk": {ok + "Content-Encoding: gzip\r\n\r\n", "junk", 1 << 20, "the answer can't be read: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent := make(chan int, 1)
			_, config := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				conn, _, err := http.NewResponseController(w).Hijack()
				if !assert.NoError(t, err) {
					return
				}
				defer conn.Close()
				assert.NoError(t, conn.(*net.TCPConn).SetWriteBuffer(16<<10))
				sent <- flood(conn, c.begin, c.again)
			}), (*httptest.Server).Start)
			_, err := client.New(config, client.Static(credentials(keys()))).RegisteredRegions(t.Context())
			require.ErrorContains(t, err, c.want)
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Less(t, len(err.Error()), 300)
			const kept = 8 << 20 // by the network, before the other end notices
			assert.Less(t, <-sent, c.most+kept)
		})
	}
}

// flood writes until the other end has enough, and says how much that was.
func flood(conn net.Conn, begin, again string) (sent int) {
	_, err := io.WriteString(conn, begin)
	for block := strings.Repeat(again, 1+(4<<10)/max(len(again), 1)); err == nil && again != ""; {
		var n int
		n, err = io.WriteString(conn, block)
		sent += n
	}
	return sent
}

func zippedSpaces(size int) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.Copy(w, io.LimitReader(&endless{text: strings.Repeat(" ", 4<<10)}, int64(size))) // to memory
	_ = w.Close()
	return b.String()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
