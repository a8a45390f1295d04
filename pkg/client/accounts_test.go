package client_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/huaweitest"
	"registrar/pkg/attempt"
	"registrar/pkg/client"
)

func TestAccountsAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		got, err := c.Accounts(t.Context())
		require.NoError(t, err)
		assert.Empty(t, got)

		cloud.NameAccount(account, "security +é")
		cloud.InviteAccount("guest", "security")
		want := []client.Account{
			{ID: account, Name: "security +é", JoinMethod: "created", Status: "active"},
			{ID: "guest", Name: "security", JoinMethod: "invited", Status: "active"},
		}
		for i, status := range []string{"active", "suspended", "pending_closure", "undocumented", "active"} {
			id := fmt.Sprint("member-", i)
			cloud.AddAccount(id, status)
			want = append(want, client.Account{ID: id, Name: "account-" + id, JoinMethod: "created", Status: status})
		}
		cloud.PageSize(3)
		got, err = c.Accounts(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Len(t, cloud.Requests(), 1+3)
	})
}

func TestDelegatedAdministratorsAreReadToTheLastPage(t *testing.T) {
	t.Parallel()
	const odd = "service.A&b=c d+é" // needs escaping
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		var all []client.Administrator
		for i := range 7 {
			id := fmt.Sprint("admin-", i)
			cloud.Delegate(id, secMaster)
			all = append(all, client.Administrator{AccountID: id, AccountName: "account-" + id})
		}
		cloud.AddAccount("member", "active")
		for _, a := range all[2:6] {
			cloud.Delegate(a.AccountID, odd)
		}
		cloud.PageSize(3)
		for service, want := range map[string][]client.Administrator{
			"": all, secMaster: all, odd: all[2:6], "service.CTS": nil,
		} {
			before := len(cloud.Requests())
			got, err := c.DelegatedAdministrators(t.Context(), service)
			require.NoError(t, err, service)
			assert.Equal(t, want, got, service)

			pages := cloud.Requests()[before:]
			assert.Len(t, pages, max(1, (len(want)+2)/3), service)
			for i, r := range pages {
				query, err := url.ParseQuery(r.RawQuery)
				require.NoError(t, err)
				assert.Equal(t, service != "", query.Has("service_principal"), r.RawQuery)
				assert.Equal(t, service, query.Get("service_principal"), "the filter stands on every page")
				assert.Equal(t, "500", query.Get("limit"))
				assert.Equal(t, i > 0, query.Has("marker"))
				assert.True(t, r.Verified)
			}
		}
	})
}

func TestHowFarACreationIs(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]client.Creation{
		"in_progress":  {State: "in_progress"},
		"succeeded":    {State: "succeeded", AccountID: account},
		"failed":       {State: "failed", FailureReason: "EMAIL_ALREADY_EXISTS"},
		"undocumented": {State: "undocumented"},
	} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			_, err := c.CreateAccountStatus(t.Context(), "car-1")
			require.NotNil(t, client.Refusal(err), "it is unknown")
			cloud.SetCreateAccountStatus("car-1", state, want.AccountID)
			got, err := c.CreateAccountStatus(t.Context(), "car-1")
			require.NoError(t, err)
			assert.Equal(t, want, got)
		})
	}
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.SetCreateAccountStatus("a/../b?c", "in_progress", "")
		_, err := c.CreateAccountStatus(t.Context(), "a/../b?c")
		require.NoError(t, err, "an id stays one segment of the path")
	})
}

// readers are the calls whose answers have a form, each with what it reads as text.
func readers() map[string]func(context.Context, *client.Client) (string, error) {
	return map[string]func(context.Context, *client.Client) (string, error){
		"Account": func(ctx context.Context, c *client.Client) (string, error) {
			got, err := c.Account(ctx, "a1")
			return fmt.Sprintf("%+v", got), err
		},
		"Accounts": func(ctx context.Context, c *client.Client) (string, error) {
			got, err := c.Accounts(ctx)
			return fmt.Sprintf("%+v", got), err
		},
		"DelegatedAdministrators": func(ctx context.Context, c *client.Client) (string, error) {
			got, err := c.DelegatedAdministrators(ctx, "")
			return fmt.Sprintf("%+v", got), err
		},
		"CreateAccountStatus": func(ctx context.Context, c *client.Client) (string, error) {
			got, err := c.CreateAccountStatus(ctx, "car-1")
			return fmt.Sprintf("%+v", got), err
		},
	}
}

// bodyOf is an answer to the call that holds the object, in a list as the second.
func bodyOf(call, object string) []byte {
	return []byte(map[string]string{
		"Account":                 `{"account":` + object + `}`,
		"Accounts":                `{"accounts":[{"id":"a0","status":"active"},` + object + `],"page_info":null}`,
		"DelegatedAdministrators": `{"delegated_administrators":[{"account_id":"a0"},` + object + `],"page_info":null}`,
		"CreateAccountStatus":     `{"create_account_status":` + object + `}`,
	}[call])
}

func TestAnAnswerOfAWrongFormIsTransient(t *testing.T) {
	t.Parallel()
	const (
		noAccount       = "it has an account without an id or a status"
		otherAccount    = "it is not about the account with this id"
		noAdministrator = "it has an administrator without the id of an account"
		noState         = "it has no state"
		noResult        = "it succeeded, but names no account"
	)
	long := strings.Repeat("a", 65)
	for call, objects := range map[string]map[string]string{
		"Account": {
			`{"name":"n","status":"active"}`:           otherAccount,
			`{"id":"a2","status":"active"}`:            otherAccount,
			`null`:                                     otherAccount,
			`{"id":"a1","name":"n"}`:                   noAccount,
			`{"id":"a1","status":""}`:                  noAccount,
			`{"id":"a1","status":"on leave"}`:          noAccount,
			`{"id":"a1","status":"` + long + `"}`:      noAccount,
			`{"id":"a1","status":"SKexample"}`:         noAccount,
			`{"id":"a1","status":5}`:                   "a JSON number doesn't belong at account.status",
			`{"id":"a1","status":"active","name":[]}`:  "a JSON array doesn't belong at account.name",
			`{"id":"a1","status":"a","join_method":0}`: "a JSON number doesn't belong at account.join_method",
		},
		"Accounts": {
			`{"name":"n","status":"active"}`:           noAccount,
			`{"id":"","status":"active"}`:              noAccount,
			`{"id":"a/1","status":"active"}`:           noAccount,
			`{"id":"` + long + `","status":"active"}`:  noAccount,
			`{"id":"AKEXAMPLE","status":"active"}`:     noAccount,
			`{"id":"a1","name":"n"}`:                   noAccount,
			`{"id":"a1","status":"SKexample"}`:         noAccount,
			`null`:                                     noAccount,
			`{"id":7,"status":"active"}`:               "a JSON number doesn't belong at accounts.id",
			`{"id":"a1","status":"active","name":{}}`:  "a JSON object doesn't belong at accounts.name",
			`{"id":"a1","status":"a","join_method":0}`: "a JSON number doesn't belong at accounts.join_method",
		},
		"DelegatedAdministrators": {
			`{"account_name":"n"}`:            noAdministrator,
			`{"account_id":"a 1"}`:            noAdministrator,
			`{"account_id":"` + long + `"}`:   noAdministrator,
			`{"account_id":"SKexample"}`:      noAdministrator,
			`null`:                            noAdministrator,
			`{"account_id":"a1\n"}`:           noAdministrator,
			`{"account_id":{"account_id":1}}`: "a JSON object doesn't belong at delegated_administrators.account_id",
		},
		"CreateAccountStatus": {
			`null`:                                           noState,
			`{"account_id":"a1"}`:                            noState,
			`{"state":"all done","account_id":"a1"}`:         noState,
			`{"state":"SKexample"}`:                          noState,
			`{"state":"succeeded"}`:                          noResult,
			`{"state":"succeeded","account_id":null}`:        noResult,
			`{"state":"succeeded","account_id":""}`:          noResult,
			`{"state":"succeeded","account_id":"a/1"}`:       noResult,
			`{"state":"succeeded","account_id":"SKexample"}`: noResult,
			`{"state":5}`: "a JSON number doesn't belong at " +
				"create_account_status.state",
		},
	} {
		for object, want := range objects {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{
					Status: 200, Body: bodyOf(call, object), Times: huaweitest.Forever,
				})
				_, err := readers()[call](t.Context(), c)
				require.EqualError(t, unnumbered(err), call+": status 200 the answer can't be read: "+want, object)
				assert.Equal(t, attempt.Transient, attempt.KindOf(err))
				assert.Len(t, cloud.Requests(), 4)
			})
		}
	}
}

func TestWhatIsOddInAnAnswerIsCleaned(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 513)
	cut := strings.Repeat("x", 509) + "…"
	for call, objects := range map[string]map[string]string{
		"Account": {
			`{"id":"a1","status":"active","join_method":"a b","name":"n"}`: "ID:a1 Name:n JoinMethod: Status:active",
			`{"id":"a1","status":"active","join_method":null,"name":null}`: "Name: JoinMethod: Status:active",
			`{"id":"a1","status":"a","join_method":"created","name":" n"}`: `ID:a1 Name:"n" JoinMethod:created `,
		},
		"Accounts": {
			`{"id":"a1","status":"a","join_method":"created\n","name":"n"}`:         "ID:a1 Name:n JoinMethod: ",
			`{"id":"a1","status":"a","join_method":"SKexample","name":"SKexample"}`: `Name:"[redacted]" JoinMethod: `,
			`{"id":"a1","status":"a","join_method":"merged","name":"n\u0000"}`:      `Name:"n" JoinMethod:merged `,
			`{"id":"a1","status":"a","name":"` + long + `"}`:                        `Name:"` + cut + `" JoinMethod:`,
			`{"id":"a1","status":"a","name":"` + long[1:] + `"}`:                    "Name:" + long[1:] + " Join",
		},
		"DelegatedAdministrators": {
			`{"account_id":"a1","account_name":"a\tb"}`:         `{AccountID:a1 AccountName:"a b"}`,
			`{"account_id":"a1","account_name":"SKexample"}`:    `{AccountID:a1 AccountName:"[redacted]"}`,
			`{"account_id":"a1","account_name":"n"}`:            `AccountName:} {AccountID:a1 AccountName:n}`,
			`{"account_id":"a1","account_name":"` + long + `"}`: `{AccountID:a1 AccountName:"` + cut + `"}`,
		},
		"CreateAccountStatus": {
			`{"state":"failed","failure_reason":" A\r\nB "}`:     "AccountID: FailureReason:A  B}",
			`{"state":"failed","failure_reason":"at SKexample"}`: "AccountID: FailureReason:at [redacted]}",
			`{"state":"failed","failure_reason":null}`:           "AccountID: FailureReason:}",
			`{"state":"failed","failure_reason":"` + long + `"}`: "FailureReason:" + long[:97] + "…}",
			`{"state":"in_progress","account_id":"not yet"}`:     "{State:in_progress AccountID: FailureReason:}",
		},
	} {
		for object, want := range objects {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: bodyOf(call, object)})
				got, err := readers()[call](t.Context(), c)
				require.NoError(t, err, object)
				assert.Contains(t, got, want, object)
			})
		}
	}
}

func TestANameThatHadToBeCleanedEqualsThatOfNoAccount(t *testing.T) {
	t.Parallel()
	for _, name := range []string{" security", `security\n`, `security\u0000`, `\tsecurity `, `\u00a0security`} {
		object := `{"id":"a1","account_id":"a1","status":"active","name":"` + name + `","account_name":"` + name + `"}`
		for _, call := range []string{"Account", "Accounts", "DelegatedAdministrators"} {
			inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
				cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: bodyOf(call, object)})
				got, err := readers()[call](t.Context(), c)
				require.NoError(t, err)
				assert.Contains(t, got, `Name:"security"`, "%s of %q", call, name)
			})
		}
	}
}

func TestAPageWithoutInfoIsTheLast(t *testing.T) {
	t.Parallel()
	for _, info := range []string{"", `,"page_info":null`, `,"page_info":{}`, `,"page_info":{"next_marker":null}`} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", "", huaweitest.Fault{
				Status: 200, Body: []byte(`{"accounts":[{"id":"a1","status":"active"}]` + info + `}`),
			})
			got, err := c.Accounts(t.Context())
			require.NoError(t, err)
			assert.Equal(t, []client.Account{{ID: "a1", Status: "active"}}, got)
			assert.Len(t, cloud.Requests(), 1)
		})
	}
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		cloud.Script("GET", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"accounts":[],"page_info":5}`), Times: huaweitest.Forever,
		})
		_, err := c.Accounts(t.Context())
		require.EqualError(t, unnumbered(err),
			"Accounts: status 200 the answer can't be read: a JSON number doesn't belong at page_info")
	})
}

func TestAPartOfTheAccountsIsNotTakenForTheWhole(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		for i := range 5 {
			cloud.Delegate(fmt.Sprint("a", i), secMaster)
		}
		cloud.PageSize(2)
		for _, path := range []string{"accounts", "delegated-administrators"} {
			cloud.Script("GET", "/v1/organizations/"+path, huaweitest.Fault{
				Skip: 1, Status: 400, Code: "Organizations.9999",
			})
		}
		accounts, err := c.Accounts(t.Context())
		require.NotNil(t, client.Refusal(err))
		assert.Empty(t, accounts)
		administrators, err := c.DelegatedAdministrators(t.Context(), secMaster)
		require.NotNil(t, client.Refusal(err))
		assert.Empty(t, administrators)
	})
}
