package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

const (
	account      = "05261f923e80d3890f33c0056e9b3f80"
	secMaster    = "service.SecMaster"
	registerPath = "/v1/register-regions"
)

var (
	errVault  = errors.New("the vault is away")
	errDenied = fmt.Errorf("%w: the vault denies access", client.ErrMisconfigured)
)

func keys() huaweitest.Credentials {
	return huaweitest.Credentials{AccessKey: "AKEXAMPLE", SecretKey: "SKexample", SecurityToken: "TOKENexample==", DomainID: "0a6d25d23900d45c0faac010e0fb4de0"}
}

func credentials(k huaweitest.Credentials) client.Credentials {
	return client.Credentials{
		AccessKey: client.Secret(k.AccessKey), SecretKey: client.Secret(k.SecretKey),
		SecurityToken: client.Secret(k.SecurityToken), DomainID: client.DomainID(k.DomainID),
	}
}

func config(cloud http.RoundTripper) client.Config {
	return client.Config{
		IdentityCenter: "https://identitycenter.myhuaweicloud.com", Organizations: "https://organizations.myhuaweicloud.com",
		MaxAttempts: 4, RequestTimeout: 10 * time.Second, Transport: cloud,
	}
}

// inBubble runs f with a client of a fake cloud, on a clock that only moves when all wait.
func inBubble(t *testing.T, f func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cloud := huaweitest.New(keys())
		f(t, cloud, client.New(config(cloud), client.Static(credentials(keys()))))
	})
}

func TestRegions(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err, "404 IIC.1254 means none")
		assert.Empty(t, regions)

		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, "cn-north-4", cloud.Region())
		sent := cloud.Requests()
		assert.Equal(t, client.Response{Attempts: 1, RequestID: sent[1].ID}, done)
		assert.JSONEq(t, `{"region_id":"cn-north-4"}`, string(sent[1].Body))
		assert.Equal(t, "application/json", sent[1].Header.Get("Content-Type"))
		for _, header := range []string{"host", "x-domain-id", "x-sdk-date", "x-security-token"} {
			assert.Contains(t, sent[1].Header.Get("Authorization"), header)
		}

		regions, err = c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{"cn-north-4"}, regions)

		_, err = c.RegisterRegion(t.Context(), "cn-south-1")
		refusal := client.Refusal(err)
		require.NotNil(t, refusal)
		assert.Equal(t, 409, refusal.Status)
		assert.Equal(t, "IIC.1216", refusal.Code)
		assert.NotEmpty(t, refusal.RequestID)
	})
}

func TestAnyOtherRefusalToListRegionsIsAnError(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"IIC.400", "IIC.1002", ""} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 404, Code: code})
			_, err := c.RegisteredRegions(t.Context())
			require.ErrorIs(t, err, client.ErrRefused)
		})
	}
}

func TestDelegatedAdministrators(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		_, err := c.Account(t.Context(), account)
		require.ErrorIs(t, err, client.ErrRefused)
		cloud.AddAccount(account, "suspended")
		got, err := c.Account(t.Context(), account)
		require.NoError(t, err)
		assert.Equal(t, client.Account{ID: account, Status: "suspended"}, got)

		cloud.AddAccount(account, "active")
		cloud.TrustService(secMaster)
		done, err := c.RegisterDelegatedAdministrator(t.Context(), account, secMaster)
		require.NoError(t, err)
		assert.Equal(t, 1, done.Attempts)
		assert.NotEmpty(t, done.RequestID)
		services, err := c.DelegatedServices(t.Context(), account)
		require.NoError(t, err)
		assert.Equal(t, []string{secMaster}, services)
		trusted, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []string{secMaster}, trusted)
	})
}

func TestListsAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		var want []string
		for i := range 7 {
			want = append(want, fmt.Sprintf("service.S%d", i))
		}
		cloud.TrustService(want...)
		cloud.PageSize(3)
		got, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Len(t, cloud.Requests(), 3)
	})
}

func TestAMarkerThatComesTwiceEndsInAnError(t *testing.T) {
	t.Parallel()
	for name, markers := range map[string][]string{"at once": {"a", "a"}, "later": {"a", "b", "a"}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				for _, m := range append(markers, "never asked for") {
					cloud.Script("GET", "/v1/organizations/trusted-services", huaweitest.Fault{
						Status: 200, Body: []byte(`{"trusted_services":[{"service_principal":"x"}],"page_info":{"next_marker":"` + m + `"}}`),
					})
				}
				_, err := c.TrustedServices(t.Context())
				require.ErrorIs(t, err, client.ErrTransient)
				require.ErrorContains(t, err, "came twice")
				assert.Len(t, cloud.Requests(), len(markers))
			})
		})
	}
}

func TestTransientFailuresAreTriedAgain(t *testing.T) {
	t.Parallel()
	faults := map[string]huaweitest.Fault{
		"503":                        {Status: 503},
		"reset before the write":     {Reset: true},
		"408":                        {Status: 408},
		"409 concurrency conflict":   {Status: 409, Code: "IIC.1006"},
		"403 IIC.1219":               {Status: 403, Code: "IIC.1219"},
		"no answer within a timeout": {Delay: time.Minute},
	}
	for name, fault := range faults {
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
				require.ErrorIs(t, err, client.ErrTransient)
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

func TestWhatIsNotTransientIsTriedOnce(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]huaweitest.Fault{
		"refused":          {Status: 400, Code: "IIC.400"},
		"forbidden":        {Status: 403, Code: "IIC.1000"},
		"redirect":         {Status: 302, Header: http.Header{"Location": {"https://elsewhere.example/"}}},
		"not management":   {Status: 401, Code: "Organizations.1001"},
		"429 without time": {Status: 429, Code: "APIGW.0308"},
		"429 for too long": {Status: 429, Header: http.Header{"Retry-After": {"21"}}},
		"503 for too long": {Status: 503, Header: http.Header{"Retry-After": {"60"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				start := time.Now()
				cloud.Script("POST", registerPath, fault)
				done, err := c.RegisterRegion(t.Context(), "cn-north-4")
				failure, ok := errors.AsType[*client.APIError](err)
				require.True(t, ok)
				assert.Equal(t, fault.Status, failure.Status)
				assert.Equal(t, fault.Code, failure.Code)
				assert.Equal(t, 1, done.Attempts)
				assert.Len(t, cloud.Requests(), 1)
				assert.Zero(t, time.Since(start), "nothing was waited for")
				if seconds := fault.Header.Get("Retry-After"); seconds != "" {
					assert.Equal(t, seconds+"s", fmt.Sprintf("%.0fs", failure.RetryAfter.Seconds()))
				}
			})
		})
	}
}

func TestRetryAfterIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]func() string{
		"seconds": func() string { return "7" },
		"date":    func() string { return time.Now().Add(7 * time.Second).UTC().Format(http.TimeFormat) },
	} {
		for _, status := range []int{429, 503} {
			t.Run(fmt.Sprint(name, status), func(t *testing.T) {
				t.Parallel()
				inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
					start := time.Now()
					cloud.Script("POST", registerPath, huaweitest.Fault{Status: status, Header: http.Header{"Retry-After": {after()}}})
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
			cloud.Script("POST", registerPath, huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: http.Header{"Retry-After": {"6"}}})
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, client.ErrTransient)
			require.ErrorContains(t, err, "APIGW.0201")
			assert.Zero(t, time.Since(start))
		})
	})
	t.Run("an attempt is cut at it, and the last real error kept", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			start := time.Now()
			cloud.Script("POST", registerPath,
				huaweitest.Fault{Status: 503, Code: "APIGW.0201", Header: http.Header{"Retry-After": {"1"}}},
				huaweitest.Fault{Delay: time.Minute})
			done, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, client.ErrTransient)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.ErrorContains(t, err, "after 2 attempts: RegisterRegion: status 503 APIGW.0201")
			assert.Equal(t, 2, done.Attempts)
			assert.Equal(t, 5*time.Second, time.Since(start))
		})
	})
	t.Run("a call that begins past it sends nothing", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithTimeout(t.Context(), 0)
			defer cancel()
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, client.ErrTransient)
			assert.Empty(t, cloud.Requests())
		})
	})
	t.Run("a wait ends when the caller goes away", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(3*time.Second, cancel)
			start := time.Now()
			cloud.Script("POST", registerPath, huaweitest.Fault{Status: 503, Header: http.Header{"Retry-After": {"10"}}})
			_, err := c.RegisterRegion(ctx, "cn-north-4")
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorContains(t, err, "after 1 attempts: RegisterRegion: status 503")
			assert.Equal(t, 3*time.Second, time.Since(start))
		})
	})
}

func TestASkewedClockIsMendedOnceAndNotRemembered(t *testing.T) {
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

func TestTheMendedClockHoldsForTheRetriesOfACall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.SetClock(func() time.Time { return time.Now().Add(time.Hour) })
		cloud.Script("POST", registerPath, huaweitest.Fault{When: huaweitest.AfterSignature, Status: 503})
		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, 3, done.Attempts, "refused for the clock, 503, registered")
	})
}

func TestEachAttemptIsReportedWithItsTime(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("POST", registerPath, huaweitest.Fault{Status: 503, Delay: time.Second}, huaweitest.Fault{Delay: 2 * time.Second})
		var took []time.Duration
		_, err := c.RegisterRegion(client.WithWatch(t.Context(), func(d time.Duration) { took = append(took, d) }), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, []time.Duration{time.Second, 2 * time.Second}, took)
	})
}

func TestA401IsBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault huaweitest.Fault
		loads int
	}{
		"when the credentials stay the same":         {huaweitest.Fault{Status: 401, Code: "APIGW.0301"}, 2},
		"when the clock is right enough":             {huaweitest.Fault{Status: 401, Code: "APIGW.0307", Header: http.Header{"Date": nil}}, 2},
		"when it has no code":                        {huaweitest.Fault{Status: 401}, 2},
		"at once when Organizations says who we are": {huaweitest.Fault{Status: 401, Code: "Organizations.1001"}, 1},
		"at once when there is no organization":      {huaweitest.Fault{Status: 401, Code: "Organizations.1015"}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cloud, loads := huaweitest.New(keys()), 0
				api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
					loads++
					return credentials(keys()), nil
				})
				cloud.Script("", "", c.fault)
				_, err := api.RegisterRegion(t.Context(), "cn-north-4")
				require.ErrorIs(t, err, client.ErrMisconfigured)
				assert.Equal(t, c.loads, loads)
				assert.Len(t, cloud.Requests(), 1)
			})
		})
	}
}

func TestRotatedCredentialsAreLoadedOnceForAllCallsThatFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers = 20
		old, rotated := keys(), huaweitest.Credentials{AccessKey: "AKNEW", SecretKey: "SKnew"}
		cloud := huaweitest.New(old)
		var loads atomic.Int32
		api := client.New(config(cloud), func(ctx context.Context) (client.Credentials, error) {
			time.Sleep(100 * time.Millisecond)
			if loads.Add(1) == 1 {
				return credentials(old), nil
			}
			return credentials(rotated), nil
		})
		_, err := api.RegisteredRegions(t.Context())
		require.NoError(t, err)

		cloud.RemoveCredentials(old.AccessKey)
		cloud.AddCredentials(rotated)
		cloud.Script("", "", huaweitest.Fault{Delay: time.Second, Times: callers}) // so that all are on their way with the old ones
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				_, err := api.RegisteredRegions(t.Context())
				assert.NoError(t, err)
			})
		}
		wg.Wait()
		assert.EqualValues(t, 2, loads.Load(), "one at first, one for the rotation")
		assert.Len(t, cloud.Requests(), 1+2*callers)
	})
}

func TestAFailedLoadOfCredentialsIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud, away := huaweitest.New(keys()), true
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			if away {
				return client.Credentials{}, errVault
			}
			return credentials(keys()), nil
		})
		_, err := api.RegisteredRegions(t.Context())
		require.ErrorIs(t, err, errVault)
		require.ErrorIs(t, err, client.ErrTransient)
		require.NotErrorIs(t, err, client.ErrMisconfigured)
		away = false
		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err)

		away = true
		cloud.RemoveCredentials(keys().AccessKey)
		_, err = api.RegisteredRegions(t.Context())
		require.ErrorIs(t, err, errVault)
		require.NotErrorIs(t, err, client.ErrMisconfigured, "why the 401 came is unknown as long as the vault is away")
	})
}

func TestALoadOfCredentialsCanBeMisconfigured(t *testing.T) {
	t.Parallel()
	api := client.New(config(huaweitest.New()), func(context.Context) (client.Credentials, error) { return client.Credentials{}, errDenied })
	_, err := api.RegisteredRegions(t.Context())
	require.ErrorIs(t, err, client.ErrMisconfigured)
	require.NotErrorIs(t, err, client.ErrTransient)
	require.EqualError(t, err, "RegisteredRegions: credentials: misconfigured: the vault denies access")
}

func TestWaitingForSomebodyElsesLoadEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		api := client.New(config(huaweitest.New()), func(ctx context.Context) (client.Credentials, error) {
			<-ctx.Done()
			return client.Credentials{}, ctx.Err()
		})
		long, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		go func() { _, _ = api.RegisteredRegions(long) }()
		synctest.Wait()
		start := time.Now()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := api.RegisteredRegions(short)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, time.Second, time.Since(start))
		cancel()
	})
}

func TestCredentialsThatTheServerQuotesAreRedacted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		k := keys()
		cloud.Script("", "", huaweitest.Fault{Status: 400, Message: "bad " + k.AccessKey + " with " + k.SecretKey + " and " + k.SecurityToken})
		_, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.EqualError(t, errors.New(strings.Split(err.Error(), " (")[0]), "RegisterRegion: status 400 bad [redacted] with [redacted] and [redacted]")
	})
}

func TestTheAuthorizationMessageOfA403IsKept(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("", "", huaweitest.Fault{Status: 403, Body: []byte(`{"error_code":"IIC.1000","error_msg":"no","request_id":"r","encoded_authorization_message":"c2VjcmV0"}`)})
		_, err := c.RegisterRegion(t.Context(), "cn-north-4")
		failure, _ := errors.AsType[*client.APIError](err)
		require.NotNil(t, failure)
		assert.Equal(t, "c2VjcmV0", failure.EncodedAuthorizationMessage)
		assert.NotContains(t, err.Error(), "c2VjcmV0")
	})
}

func TestAnswersToReadsThatCantBeRead(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"HTML": "<html>", "empty": "", "truncated": `{"regions":[`, "another type": `{"regions":"x"}`,
		"too large": `{"regions":[` + strings.Repeat(" ", 1<<20) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
				_, err := c.RegisteredRegions(t.Context())
				require.ErrorIs(t, err, client.ErrTransient)
				require.ErrorContains(t, err, "RegisteredRegions: status 200 the answer can't be read")
			})
		})
	}
}

func TestBodiesOfRegisterCallsAreIgnoredOnSuccess(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 201, 202, 204, 299} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("POST", "", huaweitest.Fault{Status: status, Body: []byte("<html>")})
			_, err := c.RegisterRegion(t.Context(), "cn-north-4")
			require.NoError(t, err)
		})
	}
}

func TestEndpointsAreHTTPSOrLoopback(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"https://organizations.myhuaweicloud.eu", "https://gateway.example/huawei", "http://127.0.0.1:8080", "http://[::1]:80", "http://localhost:1"} {
		var e client.Endpoint
		require.NoError(t, e.UnmarshalText([]byte(good+"/")), good)
		assert.Equal(t, good, string(e))
	}
	for _, bad := range []string{
		"", "organizations.myhuaweicloud.com", "http://organizations.myhuaweicloud.com", "http://10.0.0.1", "ftp://127.0.0.1", "https://", "https://a:b@c.example",
		"https://a.example?x=1", "https://a.example?", "https://a.example#x", "http://localhost.example", "https://%zz", "https://a b",
	} {
		var e client.Endpoint
		require.Error(t, e.UnmarshalText([]byte(bad)), bad)
	}
}

func TestBoundsOfTheConfig(t *testing.T) {
	t.Parallel()
	require.NoError(t, config(nil).Validate())
	err := client.Config{MaxAttempts: 0, RequestTimeout: -1}.Validate()
	require.ErrorContains(t, err, "MAX_ATTEMPTS")
	require.ErrorContains(t, err, "REQUEST_TIMEOUT")
}

// A token may be longer than what is kept of a message: it must be gone before anything is cut.
func TestALongTokenIsRedactedBeforeTheMessageIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keys()
		k.SecurityToken = strings.Repeat("TOKENpart", 200)
		cloud := huaweitest.New(k)
		c := client.New(config(cloud), client.Static(credentials(k)))
		cloud.Script("", "", huaweitest.Fault{Status: 400, Code: k.AccessKey, Message: "bad " + k.SecurityToken, Header: http.Header{"X-Request-Id": {k.SecretKey}}})
		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.EqualError(t, err, "RegisterRegion: status 400 [redacted] bad [redacted] (request [redacted])")
		assert.Equal(t, "[redacted]", done.RequestID)
	})
}

func TestAnswersThatSayTooLittleAreNotBelieved(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		attempts := map[string]int{`{"error_code":"IIC.1000","error_msg":"no"}`: 4, `{"regions":[{}]}`: 1}
		for body := range attempts {
			cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: attempts[body]})
			_, err := c.RegisteredRegions(t.Context())
			require.ErrorIs(t, err, client.ErrTransient, body)
		}
	})
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(`{}`)})
		_, err := c.Account(t.Context(), account)
		require.ErrorIs(t, err, client.ErrTransient)
	})
}

func TestNothingIsLeftOfAnAttemptThatCouldNotBeRead(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(`{"regions":[{"region_id":"cn-north-4"},{"region_id":5}]}`)})
		regions, err := c.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Empty(t, regions, "the second attempt says there is none")
	})
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "",
			huaweitest.Fault{Status: 200, Body: []byte(`{"trusted_services":[{"service_principal":"service.A"}],"page_info":5}`)},
			huaweitest.Fault{Status: 200, Body: []byte(`{}`)})
		trusted, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Empty(t, trusted, "the second attempt names none")
	})
}

func TestOnlyTransientFailuresAreThrottling(t *testing.T) {
	t.Parallel()
	for want, e := range map[bool]*client.APIError{
		true:  {Answer: client.Answer{Status: 503}, RetryAfter: time.Minute},
		false: {Answer: client.Answer{Status: 403}, RetryAfter: time.Hour},
	} {
		assert.Equal(t, want, client.Throttled(fmt.Errorf("wrapped: %w", e)))
	}
	assert.True(t, client.Throttled(&client.APIError{Answer: client.Answer{Status: 429}}))
	assert.False(t, client.Throttled(errors.New("x")))
}
