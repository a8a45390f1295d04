package client_test

import (
	"fmt"
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
		var want []client.Account
		for i := range 6 {
			id := fmt.Sprintf("a-%d", i)
			cloud.AddAccount(id, "active")
			want = append(want, client.Account{ID: id, Name: "account-" + id, JoinMethod: "created", Status: "active"})
		}
		cloud.NameAccount("a-1", "Sécurité")
		cloud.InviteAccount("a-2", "guest")
		cloud.AddAccount("a-3", "suspended")
		want[1].Name, want[2].Name, want[2].JoinMethod, want[3].Status = "Sécurité", "guest", "invited", "suspended"
		cloud.PageSize(4)
		got, err := c.Accounts(t.Context())
		require.NoError(t, err)
		assert.Equal(t, want, got)
		assert.Len(t, cloud.Requests(), 2)
	})
}

func TestAdministratorsOfAnyServiceOrOfOne(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		for i := range 5 {
			id := fmt.Sprintf("a-%d", i)
			cloud.Delegate(id, "service.A")
			if i%2 == 0 {
				cloud.Delegate(id, "service.B+C")
			}
		}
		cloud.PageSize(2)
		ids := func(principal string) (ids []string) {
			got, err := c.DelegatedAdministrators(t.Context(), principal)
			require.NoError(t, err)
			for _, a := range got {
				assert.Equal(t, "account-"+a.AccountID, a.AccountName)
				ids = append(ids, a.AccountID)
			}
			return ids
		}
		assert.Equal(t, []string{"a-0", "a-1", "a-2", "a-3", "a-4"}, ids(""))
		assert.Equal(t, []string{"a-0", "a-2", "a-4"}, ids("service.B+C"), "the second page has the filter, too")
		assert.Empty(t, ids("service.None"))
	})
}

func TestTheCreationOfAnAccount(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
		_, err := c.CreateAccountStatus(t.Context(), "car-0001")
		require.NotNil(t, client.Refusal(err))
		for state, want := range map[string]client.Creation{
			"in_progress": {State: "in_progress"},
			"succeeded":   {State: "succeeded", AccountID: "a-1"},
			"failed":      {State: "failed", FailureReason: "EMAIL_ALREADY_EXISTS"},
		} {
			cloud.SetCreateAccountStatus("car-0001", state, want.AccountID)
			got, err := c.CreateAccountStatus(t.Context(), "car-0001")
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
	})
}

func TestWhatCantBeTrueOfAnOrganizationIsTransient(t *testing.T) {
	t.Parallel()
	type calls = func(*client.Client, *testing.T) error
	var (
		accounts = func(c *client.Client, t *testing.T) error {
			_, err := c.Accounts(t.Context())
			return err
		}
		administrators = func(c *client.Client, t *testing.T) error {
			_, err := c.DelegatedAdministrators(t.Context(), "")
			return err
		}
		creation = func(c *client.Client, t *testing.T) error {
			_, err := c.CreateAccountStatus(t.Context(), "car-0001")
			return err
		}
	)
	for body, c := range map[string]struct {
		call calls
		want string
	}{
		`{"delegated_services":[]}`: {accounts, "it has no list of accounts"},
		`{"accounts":[{"id":"a"}]}`: {
			accounts,
			"it has an account without a",
		},
		`{"accounts":[{"status":"active"}]}`: {
			accounts,
			"it has an account without a",
		},
		`{"accounts":[{"id":"SKexample","status":"active"}]}`: {
			accounts,
			"it has an account without a",
		},
		`{"accounts":[{"id":"a","status":"very active"}]}`: {
			accounts,
			"it has an account without a",
		},
		`{"accounts":[5]}`: {
			accounts,
			"a JSON number doesn't belong at accounts",
		},
		`{"accounts":[],"page_info":[]}`: {
			accounts,
			"a JSON array doesn't belong at page_info",
		},
		`{"accounts":[],"page_info":{"next_marker":5}}`: {
			accounts,
			"doesn't belong at page_info.next_marker",
		},
		`{"accounts":[{"id":"a","status":"active"}],"page":1}`: {accounts, ""},
		`{"accounts":null,"page_info":null}`:                   {accounts, ""},
		`{"accounts":[]} `: {
			administrators,
			"it has no list of delegated_administrators",
		},
		`{"delegated_administrators":[{"account_name":"a"}]}`: {
			administrators,
			"without the id of an account",
		},
		`{"delegated_administrators":[{"account_id":"a"}]}`: {administrators, ""},
		`{"create_account_status":{}}`:                      {creation, "it has no state"},
		`{}`:                                                {creation, "it has no state"},
		`{"create_account_status":{"state":"succeeded"}}`: {
			creation,
			"it succeeded, but names no account",
		},
		`{"create_account_status":{"state":"succeeded","account_id":"../x"}}`: {
			creation,
			"it succeeded, but names no account",
		},
		`{"create_account_status":{"state":"failed","account_id":"../x"}}`: {creation, ""},
	} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, api *client.Client) {
			cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
			err := c.call(api, t)
			if c.want == "" {
				require.NoError(t, err, body)
				return
			}
			require.ErrorContains(t, err, c.want, body)
			assert.Equal(t, attempt.Transient, attempt.KindOf(err), body)
			assert.NotContains(t, err.Error(), "SKexample")
			assert.Len(t, cloud.Requests(), 4, body)
		})
	}
}

// A name decides who administers what, so one that isn't exactly as it came must equal no other.
func TestANameThatHadToBeCleanedEqualsThatOfNoAccount(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"ops": "ops", ` ops`: `"ops"`, `ops\n`: `"ops"`, `o\u0000ps`: `"o ps"`, "SKexample": `"[redacted]"`,
		strings.Repeat("x", 129): `"` + strings.Repeat("x", 125) + `…"`,
		strings.Repeat("x", 128): strings.Repeat("x", 128),
	} {
		inBubble(t, func(t *testing.T, cloud *huaweitest.Cloud, c *client.Client) {
			cloud.Script("GET", "", huaweitest.Fault{Status: 200, Body: fmt.Appendf(nil,
				`{"accounts":[{"id":"a","name":"%s","status":"active","join_method":"%s"}]}`, name, "created\\n")})
			got, err := c.Accounts(t.Context())
			require.NoError(t, err)
			require.Len(t, got, 1)
			assert.Equal(t, want, got[0].Name)
			assert.Empty(t, got[0].JoinMethod, "what isn't a word is none")
		})
	}
}
