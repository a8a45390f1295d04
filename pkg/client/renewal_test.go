package client_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// agency gives out credentials that the cloud knows until they expire.
type agency struct {
	cloud *huaweitest.Cloud
	life  time.Duration // what it says, if that isn't what it does
	hold  time.Duration // how long they hold
	fail  error
	took  []time.Duration // when each was given out, since the beginning
	begun time.Time
}

func newAgency(life time.Duration) *agency {
	return &agency{cloud: huaweitest.New(), life: life, hold: life, begun: time.Now()}
}

func (a *agency) load(context.Context) (client.Credentials, error) {
	a.took = append(a.took, time.Since(a.begun))
	if a.fail != nil {
		return client.Credentials{}, a.fail
	}
	k := huaweitest.Credentials{AccessKey: fmt.Sprint("AK", len(a.took)), SecretKey: "SKexample", SecurityToken: "T"}
	a.cloud.AddCredentials(k)
	time.AfterFunc(a.hold, func() { a.cloud.RemoveCredentials(k.AccessKey) })
	c := credentials(k)
	c.Expires = time.Now().Add(a.life)
	return c, nil
}

// readUntil makes three calls at once every fifteen seconds, and fails if one fails.
func readUntil(t *testing.T, api *client.Client, end time.Duration) {
	t.Helper()
	for range int(end / (15 * time.Second)) {
		var calls sync.WaitGroup
		for range 3 {
			calls.Go(func() {
				_, err := api.RegisteredRegions(t.Context())
				assert.NoError(t, err)
			})
		}
		calls.Wait()
		time.Sleep(15 * time.Second)
		if t.Failed() {
			return
		}
	}
}

func TestCredentialsAreRenewedOnceBeforeTheyExpire(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		life, hold, after time.Duration // what is said, how long they hold, when others are loaded
	}{
		"an hour":                 {time.Hour, time.Hour, 55 * time.Minute},
		"a quarter of an hour":    {15 * time.Minute, 15 * time.Minute, 10 * time.Minute},
		"six minutes":             {6 * time.Minute, 6 * time.Minute, 3 * time.Minute},
		"less than was said":      {time.Hour, 10 * time.Minute, 10 * time.Minute},
		"expired, says our clock": {-time.Hour, 10 * time.Minute, 10 * time.Minute},
		"seconds, says our clock": {time.Second, 10 * time.Minute, 10 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				a := newAgency(c.life)
				a.hold = c.hold
				readUntil(t, client.New(config(a.cloud), a.load), 3*c.after+time.Minute)
				assert.Len(t, a.took, 4)
				for n, took := range a.took {
					assert.InDelta(t, float64(n)*c.after.Seconds(), took.Seconds(), 20, "load %d", n+1)
				}
			})
		})
	}
}

func TestARenewalThatFailsFailsNoCallAsLongAsTheCredentialsHold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAgency(time.Hour)
		api := client.New(config(a.cloud), a.load)
		readUntil(t, api, 50*time.Minute)
		a.fail = attempt.Misconfigured.Errorf("the agency trusts nobody any more")
		readUntil(t, api, 10*time.Minute)
		assert.Len(t, a.took, 11, "the first, and one each half minute of the last five minutes")
		_, err := api.RegisteredRegions(t.Context())
		require.ErrorIs(t, err, a.fail)
		assert.NotContains(t, err.Error(), "401", "credentials that have expired sign nothing")
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		a.fail = nil
		readUntil(t, api, time.Minute)
	})
}

// STS that doesn't answer costs one call a few seconds each half minute, and the others nothing.
func TestARenewalThatHangsHoldsUpOneCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAgency(time.Hour)
		api := client.New(config(a.cloud), func(ctx context.Context) (client.Credentials, error) {
			if time.Since(a.begun) < 55*time.Minute {
				return a.load(ctx)
			}
			<-ctx.Done()
			return client.Credentials{}, context.Cause(ctx)
		})
		readUntil(t, api, 55*time.Minute)
		slow := 0
		for range 8 { // two minutes
			var calls sync.WaitGroup
			took := make([]time.Duration, 4)
			for i := range took {
				calls.Go(func() {
					begun := time.Now()
					ctx, cancel := context.WithTimeout(t.Context(), 28*time.Second)
					defer cancel()
					_, err := api.RegisteredRegions(ctx)
					assert.NoError(t, err)
					took[i] = time.Since(begun)
				})
			}
			calls.Wait()
			for _, d := range took {
				assert.LessOrEqual(t, d, 5*time.Second)
				if d > 0 {
					slow++
				}
			}
			time.Sleep(15 * time.Second)
		}
		assert.Equal(t, 4, slow)

		time.Sleep(5 * time.Minute) // and then they have expired
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		other := make(chan error)
		go func() {
			_, err := api.RegisteredRegions(ctx)
			other <- err
		}()
		_, err := api.RegisteredRegions(ctx)
		require.EqualError(t, err, "RegisteredRegions: credentials: context deadline exceeded")
		require.EqualError(t, <-other, err.Error(), "both say what the load came to")
	})
}

// It replaces the default logger, so it can't run in parallel.
func TestEachRenewalThatFailsIsOneLine(t *testing.T) { //nolint:paralleltest // see above
	var out bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewJSONHandler(&out, nil)))
	t.Cleanup(func() { slog.SetDefault(before) })
	synctest.Test(t, func(t *testing.T) {
		a := newAgency(time.Hour)
		api := client.New(config(a.cloud), a.load)
		readUntil(t, api, 55*time.Minute)
		assert.Empty(t, out.String())
		a.fail = attempt.Misconfigured.Errorf("the agency trusts nobody any more")
		readUntil(t, api, 2*time.Minute)
		assert.Equal(t, 4, strings.Count(out.String(), "\n"), "one each half minute:\n%s", out.String())
		for line := range strings.Lines(out.String()) {
			assert.Contains(t, line, `"level":"WARN","msg":"the credentials can't be renewed, and still hold",`+
				`"err":"the agency trusts nobody any more"`)
		}
		out.Reset()
		a.fail = nil
		readUntil(t, api, 2*time.Minute)
		assert.Empty(t, out.String())
	})
}

// A renewal may not use up the time of a call that could go on.
func TestACallWithLittleTimeLeavesTheRenewalToOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := newAgency(time.Hour)
		api := client.New(config(a.cloud), a.load)
		readUntil(t, api, 50*time.Minute)
		time.Sleep(6 * time.Minute)
		a.took = nil
		ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
		defer cancel()
		_, err := api.RegisteredRegions(ctx)
		require.NoError(t, err)
		assert.Empty(t, a.took)
	})
}

func TestGivenCredentialsSignTheCallsOfTheirContextAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		given := huaweitest.Credentials{AccessKey: "AKGIVEN", SecretKey: "SKgiven", SecurityToken: "Tgiven"}
		cloud := huaweitest.New(keys(), given)
		loads := 0
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			loads++
			return credentials(keys()), nil
		})
		cloud.Script("GET", "", huaweitest.Fault{Status: 503, Times: 2})
		ctx := client.WithCredentials(t.Context(), credentials(given))
		_, err := api.RegisteredRegions(ctx)
		require.NoError(t, err)
		assert.Zero(t, loads)
		requests := cloud.Requests()
		require.Len(t, requests, 3)
		for _, r := range requests {
			assert.Contains(t, r.Header.Get("Authorization"), "AKGIVEN", "its retries, too")
		}

		cloud.RemoveCredentials(given.AccessKey)
		_, err = api.RegisteredRegions(ctx)
		assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
		assert.Zero(t, loads, "no others take their place")
		assert.Len(t, cloud.Requests(), 4)

		_, err = api.RegisteredRegions(t.Context())
		require.NoError(t, err)
		assert.Equal(t, 1, loads)
	})
}

func TestARefusalUnderASessionPolicySaysSo(t *testing.T) {
	t.Parallel()
	for _, narrowed := range []bool{true, false} {
		cloud := huaweitest.New(keys())
		cloud.Script("", "", huaweitest.Fault{Status: 403, Code: "IIC.1000", Message: "no", Times: 2})
		api := client.New(config(cloud), func(context.Context) (client.Credentials, error) {
			c := credentials(keys())
			c.Narrowed = narrowed
			return c, nil
		})
		_, err := api.RegisterRegion(t.Context(), "cn-north-4")
		require.ErrorContains(t, err, "status 403 IIC.1000 no")
		const hint = "(perhaps because of the session policy: HUAWEICLOUD_SESSION_POLICY=off leaves it out)"
		if narrowed {
			assert.ErrorContains(t, err, hint)
		} else {
			assert.NotContains(t, err.Error(), hint)
		}
	}
}
