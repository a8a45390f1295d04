package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
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
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

var (
	errVault  = errors.New("the vault is away")
	errDenied = attempt.Misconfigured.Errorf("the vault denies access")
)

func TestSecretsShowUnderNoVerb(t *testing.T) {
	t.Parallel()
	const secret = "SKexample"
	creds := client.Credentials{AccessKey: secret, SecretKey: secret, SecurityToken: secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", creds)
		fmt.Fprintf(&out, verb+"\n", &creds)
		fmt.Fprintf(&out, verb+"\n", creds.SecretKey)
	}
	encoded, err := json.Marshal(creds)
	require.NoError(t, err)
	out.Write(encoded)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("creds", "key", creds.SecretKey, "all", creds)
	}
	assert.NotContains(t, out.String(), secret)
	assert.NotContains(t, out.String(), fmt.Sprintf("%x", secret))
	assert.NotContains(t, out.String(), fmt.Sprintf("%X", secret))
	assert.Contains(t, out.String(), "[redacted]")
}

func TestSecretsThatCantBeAHeaderAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SKexample\n", " SKexample", "SKex\tample", "SKexämple", "SK\x00"} {
		var s client.Secret
		err := s.UnmarshalText([]byte(text))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "SK")
		var d client.DomainID
		require.Error(t, d.UnmarshalText([]byte(text)))
	}
}

func TestA401IsBelieved(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  huaweitest.Fault
		cached bool // the credentials were loaded by an earlier call
		loads  int
	}{
		"when the credentials stay the same": {huaweitest.Fault{Status: 401, Code: "APIGW.0301"}, true, 2},
		"when the clock is right enough":     {huaweitest.Fault{Status: 401, Code: "APIGW.0307"}, true, 2},
		"when the server shows no clock": {
			huaweitest.Fault{Status: 401, Code: "APIGW.0307", Header: http.Header{"Date": nil}}, true, 2,
		},
		"when it has no code":              {huaweitest.Fault{Status: 401}, true, 2},
		"when the call itself loaded them": {huaweitest.Fault{Status: 401, Code: "APIGW.0301"}, false, 1},
		"at once when Organizations says who we are": {
			huaweitest.Fault{Status: 401, Code: "Organizations.1001"}, true, 1,
		},
		"at once when there is no organization": {
			huaweitest.Fault{Status: 401, Code: "Organizations.1015"}, true, 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				cloud, loads := huaweitest.New(keys()), 0
				api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
					loads++
					return credentials(keys()), nil
				})
				if c.cached {
					_, err := api.RegisteredRegions(t.Context())
					require.NoError(t, err)
				}
				before := len(cloud.Requests())
				cloud.Script("", "", c.fault)
				_, err := api.RegisterRegion(t.Context(), "cn-north-4")
				require.Error(t, err)
				assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
				assert.Equal(t, c.loads, loads)
				assert.Len(t, cloud.Requests(), before+1)
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
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
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
		// all are on their way with the old ones
		cloud.Script("", "", huaweitest.Fault{Delay: time.Second, Times: callers})
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

func TestA401ThatNothingFixesEndsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cloud, loads := huaweitest.New(), 0
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			loads++
			return client.Credentials{AccessKey: client.Secret(fmt.Sprint("AK", loads)), SecretKey: "SKexample"}, nil
		})
		api.Warm(t.Context(), endpoint("https://identitycenter.myhuaweicloud.com"))
		far := time.Now().Add(24 * time.Hour).UTC().Format(http.TimeFormat)
		cloud.Script("POST", "", huaweitest.Fault{
			Status: 401, Code: "APIGW.0301", Header: http.Header{"Date": {far}}, Times: 20,
		})
		done, err := api.RegisterRegion(t.Context(), "cn-north-4")
		require.ErrorContains(t, err, "status 401")
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		assert.Equal(t, 3, done.Attempts, "as it was, with the server's clock, with other credentials")
		assert.Equal(t, 2, loads)
	})
}

func TestReloadingIsNotOneOfTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, rotated := keys(), huaweitest.Credentials{AccessKey: "AKNEW", SecretKey: "SKnew"}
		cloud, now := huaweitest.New(old), old
		c := config(cloud)
		c.MaxAttempts = 1
		api := client.New(c, func(context.Context) (client.Credentials, error) { return credentials(now), nil })
		_, err := api.RegisteredRegions(t.Context())
		require.NoError(t, err)
		now = rotated
		cloud.RemoveCredentials(old.AccessKey)
		cloud.AddCredentials(rotated)
		done, err := api.RegisterRegion(t.Context(), "cn-north-4")
		require.NoError(t, err)
		assert.Equal(t, 2, done.Attempts)
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
		require.EqualError(t, err, "RegisteredRegions: credentials: the vault is away")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err))
		away = false
		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err)

		away = true
		cloud.RemoveCredentials(keys().AccessKey)
		_, err = api.RegisteredRegions(t.Context())
		require.ErrorIs(t, err, errVault)
		require.ErrorContains(t, err, "reloading credentials after RegisteredRegions: status 401 APIGW.0301")
		assert.Equal(t, attempt.Transient, attempt.KindOf(err),
			"why the 401 came is unknown as long as the vault is away")

		cloud.AddCredentials(keys())
		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err, "the old ones are still at hand")
	})
}

func TestTheVaultMayComeBackWhileACallIsTriedAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		old, rotated := keys(), huaweitest.Credentials{AccessKey: "AKNEW", SecretKey: "SKnew"}
		cloud, loads := huaweitest.New(old), 0
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			loads++
			switch loads {
			case 1:
				return credentials(old), nil
			case 2:
				return client.Credentials{}, errVault
			}
			return credentials(rotated), nil
		})
		_, err := api.RegisteredRegions(t.Context())
		require.NoError(t, err)
		cloud.RemoveCredentials(old.AccessKey)
		cloud.AddCredentials(rotated)
		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err)
	})
}

func TestALoadOfCredentialsHasItsOwnKindOfFailure(t *testing.T) {
	t.Parallel()
	api := client.New(config(huaweitest.New()), func(context.Context) (client.Credentials, error) {
		return client.Credentials{}, errDenied
	})
	_, err := api.RegisteredRegions(t.Context())
	require.EqualError(t, err, "RegisteredRegions: credentials: the vault denies access")
	assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))

	api = client.New(config(huaweitest.New()), func(context.Context) (client.Credentials, error) {
		return client.Credentials{}, &attempt.Failure{Err: errVault, Throttled: true}
	})
	_, err = api.RegisteredRegions(t.Context())
	_, asked := attempt.AskedToWait(err)
	assert.True(t, asked, "what a vault asks for, its callers are told")
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
		require.ErrorContains(t, err, "credentials: another call is loading them")
		assert.LessOrEqual(t, time.Since(start), 1100*time.Millisecond)
		cancel()
	})
}

func TestAFailedLoadIsThatOfAllWhoWaitForIt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		first, others time.Duration // how long each call has
		answers       time.Duration // when the vault answers
		want          string        // in each error; empty if all but the first succeed
		loads         int32
	}{
		"it is refused":                {time.Minute, time.Minute, time.Second, "the vault denies access", 1},
		"their time is over, too":      {5 * time.Second, 5 * time.Second, time.Hour, "no answer of the vault", 1},
		"only the first has no time":   {5 * time.Second, time.Minute, 6 * time.Second, "", 2},
		"only the others have no time": {time.Minute, 5 * time.Second, 6 * time.Second, "another call is loading", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var loads atomic.Int32
				cloud := huaweitest.New(keys())
				api := client.New(config(cloud), func(ctx context.Context) (client.Credentials, error) {
					n := loads.Add(1)
					select {
					case <-time.After(c.answers):
					case <-ctx.Done():
						return client.Credentials{}, fmt.Errorf("no answer of the vault: %w", ctx.Err())
					}
					if n > 1 {
						return credentials(keys()), nil
					}
					return client.Credentials{}, errDenied
				})
				var calls sync.WaitGroup
				call := func(has time.Duration, want string) {
					calls.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), has)
						defer cancel()
						_, err := api.RegisteredRegions(ctx)
						if want == "" {
							assert.NoError(t, err)
						} else {
							assert.ErrorContains(t, err, want)
						}
					})
				}
				first := c.want
				switch name {
				case "only the first has no time":
					first = "no answer of the vault"
				case "only the others have no time":
					first = "the vault denies access"
				}
				call(c.first, first)
				synctest.Wait()
				for range 4 {
					call(c.others, c.want)
				}
				calls.Wait()
				assert.Equal(t, c.loads, loads.Load())
			})
		})
	}
}

func TestALoadThatPanicsHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		first := true
		api := client.New(config(huaweitest.New(keys())), func(context.Context) (client.Credentials, error) {
			if first {
				first = false
				panic("a bug")
			}
			return credentials(keys()), nil
		})
		assert.Panics(t, func() { _, _ = api.RegisteredRegions(t.Context()) })
		_, err := api.RegisteredRegions(t.Context())
		require.NoError(t, err)
	})
}

func TestCredentialsThatTheServerQuotesAreRedacted(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		k := keys()
		cloud.Script("", "", huaweitest.Fault{
			Status: 400, Code: "IIC.400",
			Message: "bad " + k.AccessKey + " with " + k.SecretKey + " and " + k.SecurityToken,
		})
		_, err := c.RegisterRegion(t.Context(), "cn-north-4")
		text, _, _ := strings.Cut(err.Error(), " (")
		assert.Equal(t, "RegisterRegion: status 400 IIC.400 bad [redacted] with [redacted] and [redacted]", text)
	})
}

// A token may be longer than what is kept of a message: it must be gone before anything is cut.
func TestALongTokenIsRedactedBeforeTheMessageIsCut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := keys()
		k.SecurityToken = strings.Repeat("TOKENpart", 200)
		cloud := huaweitest.New(k)
		c := client.New(config(cloud), client.Static(credentials(k)))
		cloud.Script("", "", huaweitest.Fault{
			Status: 403, Code: k.AccessKey, Message: "bad " + k.SecurityToken,
			Header: http.Header{"X-Request-Id": {k.SecretKey}},
		})
		done, err := c.RegisterRegion(t.Context(), "cn-north-4")
		require.EqualError(t, err, "RegisterRegion: status 403 [redacted] bad [redacted] (request [redacted])")
		assert.Equal(t, "[redacted]", done.RequestID)
	})
}
