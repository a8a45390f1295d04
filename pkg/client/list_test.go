package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

func pageOf(principal, marker string) huaweitest.Fault {
	return huaweitest.Fault{Status: 200, Body: fmt.Appendf(nil,
		`{"trusted_services":[{"service_principal":%q}],"page_info":{"next_marker":%q}}`, principal, marker)}
}

func TestListsAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		var want []string
		for i := range 7 {
			want = append(want, fmt.Sprintf("service.S%d", i))
		}
		cloud.TrustService(want...)
		cloud.PageSize(3) // its markers need escaping
		got, err := c.TrustedServices(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Len(t, cloud.Requests(), 3)
		for _, r := range cloud.Requests() {
			assert.Contains(t, r.RawQuery, "limit=500")
		}
	})
}

func TestAMarkerThatComesTwiceEndsInAFailure(t *testing.T) {
	t.Parallel()
	for name, markers := range map[string][]string{"at once": {"a", "a"}, "later": {"a", "b", "a"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				for _, m := range append(markers, "never asked for") {
					cloud.Script("GET", trustedPath, pageOf("service.A", m))
				}
				got, err := c.TrustedServices(t.Context())
				require.EqualError(t, err, "TrustedServices: the list doesn't end: a page marker came twice")
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Empty(t, got, "a part would be taken for the whole")
				assert.Len(t, cloud.Requests(), len(markers))
			})
		})
	}
}

func TestAListHasAHundredPagesAtMost(t *testing.T) {
	t.Parallel()
	for pages, whole := range map[int]bool{100: true, 101: false} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			for i := range pages - 1 {
				cloud.Script("GET", trustedPath, pageOf("service.A", fmt.Sprint(i)))
			}
			cloud.Script("GET", trustedPath, pageOf("service.A", ""))
			got, err := c.TrustedServices(t.Context())
			assert.Len(t, cloud.Requests(), 100)
			if whole {
				require.NoError(t, err)
				assert.Len(t, got, 100)
				return
			}
			require.EqualError(t, err, "TrustedServices: the list has more than 100 pages of 500")
			assert.Equal(t, attempt.Transient, attempt.KindOf(err))
			assert.Empty(t, got)
		})
	}
}

func TestAListThatIsMissingIsNotEmpty(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		list string // the list of another call doesn't count
		call func(context.Context, *client.Client) (any, error)
	}{
		"RegisteredRegions": {"regions", func(ctx context.Context, c *client.Client) (any, error) {
			return c.RegisteredRegions(ctx)
		}},
		"DelegatedServices": {"delegated_services", func(ctx context.Context, c *client.Client) (any, error) {
			return c.DelegatedServices(ctx, account)
		}},
		"TrustedServices": {"trusted_services", func(ctx context.Context, c *client.Client) (any, error) {
			return c.TrustedServices(ctx)
		}},
		"Services": {"services", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Services(ctx)
		}},
		"Accounts": {"accounts", func(ctx context.Context, c *client.Client) (any, error) {
			return c.Accounts(ctx)
		}},
		"DelegatedAdministrators": {
			"delegated_administrators", func(ctx context.Context, c *client.Client) (any, error) {
				return c.DelegatedAdministrators(ctx, secMaster)
			},
		},
	}
	for name, test := range calls {
		bodies := map[string]string{
			`{"status":"ok"}`:                   "it has no list of " + test.list,
			`{}`:                                "it has no list of " + test.list,
			fmt.Sprintf(`{%q:null}`, test.list): "", // a service may write an empty list so

			fmt.Sprintf(`{%q:[]}`, strings.ToUpper(test.list)): "it has no list of " + test.list,

			fmt.Sprintf(`{%q:{}}`, test.list):  "a JSON object doesn't belong at " + test.list,
			fmt.Sprintf(`{%q:"x"}`, test.list): "a JSON string doesn't belong at " + test.list,
			fmt.Sprintf(`{%q:[5]}`, test.list): "a JSON number doesn't belong at " + test.list,
			fmt.Sprintf(`{%q:[]}`, test.list):  "",
		}
		for _, other := range calls {
			if other.list != test.list {
				bodies[fmt.Sprintf(`{%q:[]}`, other.list)] = "it has no list of " + test.list
			}
		}
		for body, want := range bodies {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
				got, err := test.call(t.Context(), c)
				assert.Empty(t, got)
				if want == "" {
					require.NoError(t, err)
					return
				}
				require.EqualError(t, unnumbered(err), name+": status 200 the answer can't be read: "+want)
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Len(t, cloud.Requests(), 4)
			})
		}
	}
}

// unnumbered is an error without the request id at the end of its text.
func unnumbered(err error) error {
	if err == nil {
		return nil
	}
	text, _, _ := strings.Cut(err.Error(), " (request ")
	return errors.New(text)
}

func TestAPageThatCantBeTrueIsTransient(t *testing.T) {
	t.Parallel()
	for name, page := range map[string]huaweitest.Fault{
		"a marker that is too long":         pageOf("service.A", strings.Repeat("m", 1025)),
		"a marker that quotes a credential": pageOf("service.A", "after SKexample"),
		"a service without a name":          pageOf("", ""),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				page.Times = huaweitest.Forever
				cloud.Script("GET", "", page)
				_, err := c.TrustedServices(t.Context())
				require.ErrorContains(t, err, "TrustedServices: status 200 the answer can't be read: it")
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Less(t, len(err.Error()), 200)
				assert.Len(t, cloud.Requests(), 4)
			})
		})
	}
}

func TestANameOfAServiceIsCutNotRefused(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(`{"delegated_services":[
			{"service_principal":"service/SecMaster:v2"},
			{"service_principal":"SKexample"},
			{"service_principal":"` + strings.Repeat("x", 500_000) + `"}]}`)})
		got, err := c.DelegatedServices(t.Context(), account)
		require.NoError(t, err)
		assert.Equal(t, []string{"service/SecMaster:v2", `"[redacted]"`, `"` + strings.Repeat("x", 97) + `…"`}, got)
	})
}

func TestANameThatHadToBeCleanedEqualsThatOfNoService(t *testing.T) {
	t.Parallel()
	for _, name := range []string{" service.A", `service.A\n`, `service.A\u0000`, `\t service.A `, `\u00a0service.A`} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", "", pageOf("service.B", "more"), huaweitest.Fault{
				Status: 200, Body: []byte(`{"trusted_services":[{"service_principal":"` + name + `"}]}`),
			})
			got, err := c.TrustedServices(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{"service.B", `"service.A"`}, got)
		})
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(`{"services":["` + name + `"]}`)})
			got, err := c.Services(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []string{`"service.A"`}, got)
		})
	}
}
