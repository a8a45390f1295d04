package register

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/client"
	"registrar/pkg/events"
)

func TestAdministratorsAreAList(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Administrators{
		"":                   nil,
		"service.A=id:1a":    {{ServicePrincipal: "service.A", AccountID: "1a"}},
		"service.A=name:ops": {{ServicePrincipal: "service.A", AccountName: "ops"}},
		" service.A=id:1 , service.A=id:2,service.B=name:1 ": {
			{ServicePrincipal: "service.A", AccountID: "1"},
			{ServicePrincipal: "service.A", AccountID: "2"},
			{ServicePrincipal: "service.B", AccountName: "1"},
		},
		"service.A=name:a=b:c d é": {{ServicePrincipal: "service.A", AccountName: "a=b:c d é"}},
		"service.A=name:" + strings.Repeat("é", 128): {
			{ServicePrincipal: "service.A", AccountName: strings.Repeat("é", 128)},
		},
	} {
		var a Administrators
		require.NoError(t, a.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, a, text)
	}
}

func TestWhatIsNotAListOfAdministratorsIsRefused(t *testing.T) {
	t.Parallel()
	const like = " must be like service.A=id:<account id> or service.A=name:<account name>"
	var many []string
	for i := range 21 {
		many = append(many, fmt.Sprintf("service.S%d=id:1", i))
	}
	for text, problem := range map[string]string{
		"service.A":             `"service.A"` + like,
		"service.A=":            `"service.A="` + like,
		"service.A=1a":          `"service.A=1a"` + like,
		"service.A=urn:1a":      `"service.A=urn:1a"` + like,
		"service.A=ID:1a":       `"service.A=ID:1a"` + like,
		"service.A=id:":         `"" is not an account id`,
		"service.A=id:a b":      `"a b" is not an account id`,
		"service.A=name:":       `"service.A=name:"` + like,
		`service.A=name:"ops"`:  `"service.A=name:\"ops\""` + like,
		"service.A=name: ops":   `"service.A=name: ops"` + like,
		"service.A=name:o\x00s": like,
		"service.A=name:o\xffs": like,
		"service.A=name:" + strings.Repeat("é", 129): like,
		"=id:1a":                           `"" is not a service principal`,
		"service.A =id:1a":                 `"service.A " is not a service principal`,
		"*":                                `"*" is not a service principal`,
		"service.A=id:1a,":                 `"" is not a service principal`,
		"service.A=id:1a, service.A=id:1a": "names service.A=id:1a twice",
		strings.Join(many, ","):            "names 21 services; at most 20 can be registered at once",
	} {
		require.ErrorContains(t, new(Administrators).UnmarshalText([]byte(text)), problem, text)
	}
}

func TestWhatTheRulesGiveAnAccount(t *testing.T) {
	t.Parallel()
	var a Administrators
	require.NoError(t, a.UnmarshalText([]byte(
		"service.A=id:1,service.B=name:ops,service.A=name:ops,service.C=id:2")))
	assert.Equal(t, []events.ServicePrincipal{"service.A", "service.B", "service.C"}, a.Services())
	for account, want := range map[client.Account][]events.ServicePrincipal{
		{ID: "1", Name: "one", JoinMethod: "created"}: {"service.A"},
		{ID: "1", Name: "ops", JoinMethod: "created"}: {"service.A", "service.B"},
		{ID: "3", Name: "ops", JoinMethod: "created"}: {"service.B", "service.A"},
		{ID: "3", Name: "ops", JoinMethod: "invited"}: nil,
		{ID: "3", Name: "ops"}:                        nil,
		{ID: "3", Name: "Ops", JoinMethod: "created"}: nil,
		{ID: "2", Name: "ops", JoinMethod: "invited"}: {"service.C"},
		{ID: "ops", JoinMethod: "created"}:            nil,
		{Name: "1", JoinMethod: "created"}:            nil,
	} {
		assert.Equal(t, want, a.Of(account), account)
	}
}

func TestANameIsReadOnlyIfItDecides(t *testing.T) {
	t.Parallel()
	var a Administrators
	require.NoError(t, a.UnmarshalText([]byte("service.A=id:1,service.A=name:ops,service.C=id:2")))
	assert.False(t, a.NeedName("1", nil), "an id has decided about service.A already")
	assert.True(t, a.NeedName("2", nil))
	assert.True(t, a.NeedName("2", []events.ServicePrincipal{"service.C", "service.A"}))
	assert.False(t, a.NeedName("2", []events.ServicePrincipal{"service.C"}))
	assert.False(t, Administrators(nil).NeedName("1", nil))
}
