package register

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

func TestPrincipalsAreAListOrAny(t *testing.T) {
	t.Parallel()
	names := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("service.S%d", i))
		}
		return strings.Join(all, ",")
	}
	for text, want := range map[string]Principals{
		"":                                {},
		"*":                               {Any: true},
		" * ":                             {Any: true},
		"service.A":                       {Names: []events.ServicePrincipal{"service.A"}},
		"service.A, service.B ,service.A": {Names: []events.ServicePrincipal{"service.A", "service.B"}},
	} {
		var p Principals
		require.NoError(t, p.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, p, text)
	}
	for text, problem := range map[string]string{
		"service.A,*":  `"*" is not a service principal`,
		"service.A,,b": `"" is not a service principal`,
		"a b":          `"a b" is not a service principal`,
		names(21):      "names 21 services; at most 20 can be registered at once",
	} {
		require.ErrorContains(t, new(Principals).UnmarshalText([]byte(text)), problem)
	}
	require.NoError(t, new(Principals).UnmarshalText([]byte(names(20)+","+names(20))), "duplicates count once")
}

func TestWhatEventsMayName(t *testing.T) {
	t.Parallel()
	bound := Principals{Names: []events.ServicePrincipal{"a", "b"}}
	assert.True(t, bound.Set())
	assert.True(t, bound.Allow("a"))
	assert.False(t, bound.Allow("A"), "case matters")
	assert.False(t, Principals{}.Allow("a"), "a bound that isn't set doesn't allow anything")
	assert.False(t, Principals{}.Set())
	assert.True(t, Principals{Any: true}.Allow("a"))
	assert.True(t, Principals{Any: true}.Set())
}

func TestTheRegionIsOneOrAny(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Region{
		"": {}, "*": {Any: true}, " * ": {Any: true}, "cn-north-4": {ID: "cn-north-4"},
	} {
		var r Region
		require.NoError(t, r.UnmarshalText([]byte(text)), text)
		assert.Equal(t, want, r, text)
	}
	require.ErrorContains(t, new(Region).UnmarshalText([]byte("Beijing")), `"Beijing" is not a region id`)
}
