package credentials

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awstest"
	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

// busy answers the first request as a service does that asks to wait.
func busy(header http.Header) []http.HandlerFunc {
	return []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), header)
		awstest.Refuse(http.StatusServiceUnavailable, "ServiceUnavailable")(w, r)
	}, nil}
}

// sources are all from where credentials come. Each asks to wait in its first answer.
func sources(t *testing.T, header http.Header) map[string]client.CredentialsFunc {
	t.Helper()
	vault, sts, cloud, huawei := new(awstest.SecretsManager), new(awstest.STS), trusting(), trusting()
	vault.Put(name, good)
	vault.Script(busy(header)...)
	sts.Script(busy(header)...)
	huawei.Script("POST", "", huaweitest.Fault{Status: 503, Header: header})
	return map[string]client.CredentialsFunc{
		"Secrets Manager":     newCredentials(t, stored(t, vault, name)),
		"AWS STS":             from(t, keyless(sts), cloud),
		"STS of Huawei Cloud": from(t, keyless(new(awstest.STS)), huawei),
	}
}

func TestRetryAfterIsHonouredByEverySourceOfCredentials(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{ // 0: a wait of our own
		"": 0, "-1": 0, "1e3": 0, "0": time.Second, "7": 7 * time.Second, "20": 20 * time.Second,
		"21": 21 * time.Second, "3600": time.Hour, "Sat, 01 Jan 2000 01:00:07 GMT": 7 * time.Second,
	} {
		header := http.Header{"Retry-After": {value}, "Date": {"Sat, 01 Jan 2000 01:00:00 GMT"}} // an hour ahead
		synctest.Test(t, func(t *testing.T) {
			for source, load := range sources(t, header) {
				start := time.Now()
				_, err := load(t.Context())
				took := time.Since(start)
				what := []any{"%s, %q: %v", source, value, err}
				wait, asked := attempt.AskedToWait(err)
				switch {
				case want > attempt.LongestWait:
					assert.Equal(t, attempt.Transient, attempt.KindOf(err), what...)
					assert.Zero(t, took, what...)
					assert.True(t, asked, what...)
					assert.Equal(t, want, wait, what...)
				case want > 0:
					require.NoError(t, err, what...)
					assert.Equal(t, want, took, what...)
				default:
					require.NoError(t, err, what...)
					assert.Less(t, took, 200*time.Millisecond, what...)
				}
			}
		})
	}
}

func TestCredentialsComeWhateverOurClockSays(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for _, off := range []time.Duration{
		time.Minute, -time.Minute, 10 * time.Minute, -10 * time.Minute, day, -day, 3650 * day, -3650 * day,
	} {
		t.Run(off.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ahead := off // how far all other clocks are ahead of ours
				clock := func() time.Time { return time.Now().Add(ahead) }
				vault, sts, cloud := new(awstest.SecretsManager), new(awstest.STS), trusting()
				vault.Put(name, good)
				sts.SetClock(clock)
				cloud.SetClock(clock)
				cloud.AddCredentials(huaweitest.Credentials{AccessKey: "AKEXAMPLE", SecretKey: "SKexample"})
				cloud.AllowAssume("AKEXAMPLE", agency)
				byKey := Config{AgencyURN: agency}
				byKey.Keys.AccessKey, byKey.Keys.SecretKey = "AKEXAMPLE", "SKexample"
				for source, load := range map[string]client.CredentialsFunc{
					"Secrets Manager": newCredentials(t, stored(t, awstest.ByClock(clock, vault), name)),
					"by token":        from(t, keyless(awstest.ByClock(clock, sts)), cloud),
					"by key":          from(t, byKey, cloud),
				} {
					ahead = off
					for range 4 {
						_, err := load(t.Context())
						require.NoError(t, err, source)
						ahead = off - ahead // right, wrong, right
					}
				}
			})
		})
	}
}

// A token that isn't valid yet, by the clock of Huawei Cloud, is an operator's matter as long as it
// lasts. Nothing of it is kept.
func TestATokenThatIsNotValidYetIsReplacedTheNextTime(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 401, 403} {
		synctest.Test(t, func(t *testing.T) {
			sts, cloud := new(awstest.STS), trusting()
			load := from(t, keyless(sts), cloud)
			cloud.Script("POST", "", huaweitest.Fault{
				Status: status, Code: "STS5.1016", Message: "id_token is not valid yet: nbf is in the future",
			})
			_, err := load(t.Context())
			require.ErrorContains(t, err, fmt.Sprintf("status %d STS5.1016 id_token is not valid yet", status))
			assert.Equal(t, attempt.Misconfigured, attempt.KindOf(err))
			assert.Len(t, cloud.Requests(), 1)
			_, err = load(t.Context())
			require.NoError(t, err)
			assert.Len(t, sts.Tokens(), 2)
		})
	}
}
