package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

func TestTransientFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]huaweitest.Fault{
		"503":                              {Status: 503},
		"reset before the write":           {Reset: true},
		"408":                              {Status: 408},
		"409 concurrency conflict":         {Status: 409, Code: "IIC.1006"},
		"403 IIC.1219":                     {Status: 403, Code: "IIC.1219"},
		"no answer within a timeout":       {Delay: time.Minute},
		"a firewall's page":                {Status: 418, Body: []byte("<html>")},
		"a page without a code":            {Status: 400, Body: []byte("<html>")},
		"a code that names no service":     {Status: 400, Code: "BadRequest"},
		"a success with a number for code": {Status: 201, Body: []byte(`{"error_code":1216}`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				fault.Times = 3
				cloud.Script("POST", registerPath, fault)
				done, err := c.RegisterRegion(t.Context(), "cn-north-4")
				require.NoError(t, err)
				assert.Equal(t, 4, done.Attempts)
				assert.Equal(t, "cn-north-4", cloud.Region())
			})
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				fault.Times = huaweitest.Forever
				cloud.Script("POST", registerPath, fault)
				done, err := c.RegisterRegion(t.Context(), "cn-north-4")
				require.Error(t, err)
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Equal(t, 4, done.Attempts)
				assert.Len(t, cloud.Requests(), 4)
			})
		})
	}
}

func TestAResetAfterTheWriteIsTriedAgainAndThenRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("POST", registerPath, huaweitest.Fault{When: huaweitest.AfterWrite, Reset: true})
		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.NotNil(t, client.Refusal(err))
		assert.Equal(t, 2, done.Attempts)
		assert.Equal(t, "cn-north-4", cloud.Region())
	})
}

func TestWhatIsNotWorthAnotherAttemptIsTriedOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault    huaweitest.Fault
		kind     attempt.Kind
		patience time.Duration // -1: none is asked for
	}{
		"refused": {huaweitest.Fault{Status: 400, Code: "IIC.400"}, attempt.Refused, -1},
		"a success with the code of a service": {
			huaweitest.Fault{Status: 200, Code: "IIC.1216", Body: []byte(`{"error_code":"IIC.1216","error_msg":"no"}`)},
			attempt.Refused, -1,
		},
		"forbidden": {huaweitest.Fault{Status: 403, Code: "IIC.1000"}, attempt.Misconfigured, -1},
		"redirected": {
			huaweitest.Fault{Status: 302, Header: http.Header{"Location": {"/x"}}}, attempt.Misconfigured, -1,
		},
		"not management":    {huaweitest.Fault{Status: 401, Code: "Organizations.1001"}, attempt.Misconfigured, -1},
		"a wrong endpoint":  {huaweitest.Fault{Status: 404, Body: []byte("<html>")}, attempt.Misconfigured, -1},
		"429 without time":  {huaweitest.Fault{Status: 429, Code: "APIGW.0308"}, attempt.Transient, 0},
		"429 for too long":  {huaweitest.Fault{Status: 429, Header: after("21")}, attempt.Transient, 21 * time.Second},
		"503 for too long":  {huaweitest.Fault{Status: 503, Header: after("60")}, attempt.Transient, time.Minute},
		"403 that would be": {huaweitest.Fault{Status: 403, Header: after("60")}, attempt.Misconfigured, -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
				start := time.Now()
				cloud.Script("POST", registerPath, c.fault)
				done, err := api.RegisterRegion(t.Context(), "cn-north-4")
				failure, ok := errors.AsType[*client.APIError](err)
				require.True(t, ok)
				assert.Equal(t, "RegisterRegion", failure.Operation)
				assert.Equal(t, c.fault.Status, failure.Status)
				assert.Equal(t, c.fault.Code, failure.Code)
				assert.Equal(t, c.kind, attempt.KindOf(err))
				assert.Equal(t, client.Sent{Attempts: 1, RequestID: failure.RequestID}, done)
				assert.Len(t, cloud.Requests(), 1)
				assert.Zero(t, time.Since(start), "nothing was waited for")
				patience, asked := attempt.AskedToWait(fmt.Errorf("wrapped: %w", err))
				assert.Equal(t, c.patience >= 0, asked)
				assert.Equal(t, max(c.patience, 0), patience)
			})
		})
	}
}

func after(seconds string) http.Header { return http.Header{"Retry-After": {seconds}} }

func TestRetryAfterIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, value := range map[string]func() string{
		"seconds": func() string { return "7" },
		"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
					start := time.Now()
					cloud.Script("POST", registerPath, huaweitest.Fault{Status: status, Header: after(value())})
					done, err := c.RegisterRegion(t.Context(), "cn-north-4")
					require.NoError(t, err)
					assert.Equal(t, 2, done.Attempts)
					assert.Equal(t, 7*time.Second, time.Since(start))
				})
			})
		}
	}
}

func TestNothingIsStartedPastTheDeadline(t *testing.T) {
	t.Parallel()
	t.Run("a wait that would reach it isn't begun", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			cloud.Script("POST", registerPath, huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: after("6")})
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorContains(t, err, "RegisterRegion: status 503 APIGW.0201")
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Zero(t, time.Since(start))
		})
	})
	t.Run("a request is cut at it, and the last answered failure kept", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			cloud.Script("POST", registerPath,
				huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: after("1")},
				huaweitest.Fault{Delay: time.Minute})
			done, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "after 2 attempts: RegisterRegion: status 503 APIGW.0201")
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Equal(t, 2, done.Attempts)
			assert.Equal(t, 5*time.Second, time.Since(start))
		})
	})
	t.Run("a call that begins past it sends nothing and loads nothing", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			cloud := huaweitest.New(keys())
			api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
				t.Error("loaded")
				return credentials(keys()), nil
			})
			ctx, cancel := context.WithTimeout(t.Context(), 0)
			defer cancel()
			done, err := api.RegisterRegion(ctx, "cn-north-4")
			require.EqualError(t, err, "RegisterRegion: no time left: context deadline exceeded")
			_, ok := errors.AsType[*client.APIError](err)
			assert.True(t, ok)
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Zero(t, done)
			assert.Empty(t, cloud.Requests())
		})
	})
	t.Run("a wait ends when the caller goes away", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			start := time.Now()
			cloud.Script("POST", registerPath, huaweitest.Fault{Status: 503, Header: after("10")})
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "after 1 attempts: RegisterRegion: status 503")
			assert.Equal(t, 3*time.Second, time.Since(start))
		})
	})
}

func TestASlowServerIsNotWaitedForLongerThanARequestMayTake(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{Delay: time.Minute, Times: huaweitest.Forever})
		start := time.Now()
		_, err := c.RegisteredRegions(t.Context())
		require.EqualError(t, err, "RegisteredRegions: no answer within 10s: context deadline exceeded")
		assert.GreaterOrEqual(t, time.Since(start), 40*time.Second, "each attempt has its own 10 s")
		assert.Less(t, time.Since(start), 42*time.Second)
	})
}

func TestASkewedClockIsCorrectedOnceAndNotRemembered(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{20 * time.Minute, -20 * time.Minute, 30 * 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.SetClock(func() time.Time { return time.Now().Add(off) })
				done, err := c.RegisterRegion(t.Context(), "cn-north-4")
				require.NoError(t, err)
				assert.Equal(t, 2, done.Attempts)
				cloud.SetClock(nil) // the clock is right again: nothing must be left of the offset
				_, err = c.RegisteredRegions(t.Context())
				require.NoError(t, err)
				assert.Len(t, cloud.Requests(), 3)
			})
		})
	}
}

func TestTheCorrectedClockHoldsForTheAttemptsOfACall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
		cloud.Script("POST", registerPath, huaweitest.Fault{When: huaweitest.AfterSignature, Status: 503, Times: 3})
		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err, "the request that was refused for the clock isn't an attempt")
		assert.Equal(t, 5, done.Attempts, "refused for the clock, three times 503, registered")
	})
}

func TestEachRequestIsReportedWithItsTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("POST", registerPath,
			huaweitest.Fault{Status: 503, Delay: time.Second}, huaweitest.Fault{Delay: 2 * time.Second})
		var took []time.Duration
		ctx := client.WithWatch(t.Context(), func(d time.Duration) { took = append(took, d) })
		_, err := c.RegisterRegion(ctx, "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, took)
	})
}

func TestTheRequestIDIsThatOfTheAnswerThatCameLast(t *testing.T) {
	t.Parallel()
	numbered := huaweitest.Fault{Status: 503, Header: http.Header{"X-Request-Id": {"first"}}}
	for name, c := range map[string]struct {
		last huaweitest.Fault
		want string
	}{
		"it has another": {huaweitest.Fault{Header: http.Header{"X-Request-Id": {"last"}}}, "last"},
		"it has none":    {huaweitest.Fault{Header: http.Header{"X-Request-Id": nil}}, ""},
		"none came":      {huaweitest.Fault{Reset: true, Times: 3}, "first"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
				cloud.Script("POST", registerPath, numbered, c.last)
				done, _ := api.RegisterRegion(t.Context(), "cn-north-4")
				assert.Equal(t, c.want, done.RequestID)
			})
		})
	}
}

func TestTheAuthorizationMessageOfA403IsKeptOutOfTheText(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("", "", huaweitest.Fault{Status: 403, Body: []byte(
			`{"error_code":"IIC.1000","error_msg":"no","request_id":"r","encoded_authorization_message":"c2VjcmV0"}`)})
		_, err := c.RegisterRegion(t.Context(), "cn-north-4")
		failure, _ := errors.AsType[*client.APIError](err)
		require.NotNil(t, failure)
		assert.Equal(t, "c2VjcmV0", failure.EncodedAuthorizationMessage)
		assert.NotContains(t, err.Error(), "c2VjcmV0")
	})
}

func TestAReadThatCantBeReadIsTransient(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"HTML": "<html>", "nothing": "", "null": "null", "half an answer": `{"regions":[`,
		"another type":                  `{"regions":"x"}`,
		"too large":                     `{"regions":[` + strings.Repeat(" ", 1<<20) + `]}`,
		"a region without an id":        `{"regions":[{}]}`,
		"a region of one word":          `{"regions":[{"region_id":"north"}]}`,
		"a region in capitals":          `{"regions":[{"region_id":"CN-north-4"}]}`,
		"a region with a new line":      `{"regions":[{"region_id":"cn-north-4\n"}]}`,
		"a region of 65 bytes":          `{"regions":[{"region_id":"a-` + strings.Repeat("a", 63) + `"}]}`,
		"a region of 500,000 bytes":     `{"regions":[{"region_id":"a-` + strings.Repeat("a", 500_000) + `"}]}`,
		"a second region can't be true": `{"regions":[{"region_id":"cn-north-4"},{"region_id":"x"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
				regions, err := c.RegisteredRegions(t.Context())
				require.ErrorContains(t, err, "RegisteredRegions: status 200 the answer can't be read: ")
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Less(t, len(err.Error()), 300)
				assert.Empty(t, regions)
				assert.Len(t, cloud.Requests(), 4)
			})
		})
	}
}

func TestAReadThatSucceedsWithAnErrorIsTransient(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"error_code":"IIC.1254","regions":[]}`), Times: huaweitest.Forever,
		})
		_, err := c.RegisteredRegions(t.Context())
		require.ErrorContains(t, err, "RegisteredRegions: status 200 IIC.1254")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		assert.Len(t, cloud.Requests(), 4)
	})
}

func TestTheLongestRegionIsRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		longest := "a-" + strings.Repeat("a", 62)
		cloud.SetRegion(longest)
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{longest}, regions)
	})
}

func TestAnAccountThatCantBeTrueIsTransient(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"none":                 `{}`,
		"another account":      `{"account":{"id":"another","status":"active"}}`,
		"no status":            `{"account":{"id":"` + account + `"}}`,
		"a status of sentence": `{"account":{"id":"` + account + `","status":"is active"}}`,
		"a status too long":    `{"account":{"id":"` + account + `","status":"` + strings.Repeat("x", 500_000) + `"}}`,
		"a status of secrets":  `{"account":{"id":"` + account + `","status":"SKexample"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
				_, err := c.Account(t.Context(), account)
				require.ErrorContains(t, err, "Account: status 200 the answer can't be read: ")
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			})
		})
	}
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.AddAccount(account, "beamed_up")
		got, err := c.Account(t.Context(), account)
		require.NoError(t, err, "a status that nobody documented is one")
		assert.Equal(t, "beamed_up", got.Status)
	})
}

func TestBodiesOfSuccessfulWritesAreIgnored(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		"", "<html>", `{"code":"A.1","message":"m"}`, `{"error":{"error_code":"A.1"}}`, "null",
	} {
		for _, status := range []int{200, 201, 202, 204, 299} {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("POST", "", huaweitest.Fault{Status: status, Body: []byte(body)})
				_, err := c.RegisterRegion(t.Context(), "cn-north-4")
				require.NoError(t, err)
			})
		}
	}
}

func TestNothingIsLeftOfAnAttemptThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "",
			huaweitest.Fault{Status: 200, Body: []byte(`{"regions":[{"region_id":"cn-north-4"},{"region_id":5}]}`)})
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, regions, "the second attempt says there is none")
	})
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "",
			huaweitest.Fault{Status: 200, Body: []byte(
				`{"trusted_services":[{"service_principal":"service.A"}],"page_info":5}`)},
			huaweitest.Fault{Status: 200, Body: []byte(`{"trusted_services":[]}`)})
		trusted, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Empty(t, trusted, "the second attempt names none")
	})
}
