package budget

import (
	"maps"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"registrar/internal/measure"
)

// organization is one in which all is as it shall be.
func organization(t *testing.T) *measure.Organization {
	t.Helper()
	o, err := measure.NewOrganization(root)
	require.NoError(t, err)
	return o
}

// start starts a program as it is deployed, with more in its environment, until the test ends.
func start(
	t *testing.T, s measure.Subject, target measure.Target, o *measure.Organization, env map[string]string,
) (*measure.Process, *measure.Server) {
	t.Helper()
	server, err := measure.Serve(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { server.Close() })
	all, err := measure.Deployed(root)
	require.NoError(t, err)
	maps.Copy(all, o.Environment(server.URL))
	maps.Copy(all, env)
	p, err := measure.Start(t.Context(), measure.Config{
		Bootstrap: bootstrap(s, target), Env: all, Counting: target.Counting,
	})
	require.NoError(t, err)
	t.Cleanup(p.Stop)
	return p, server
}

func TestADuplicateAllocatesLittle(t *testing.T) {
	t.Parallel()
	objects := func(t *testing.T, p *measure.Process, payload []byte) float64 {
		t.Helper()
		for range 20 { // until what is made once is there
			_, _, err := p.Invoke(payload)
			require.NoError(t, err)
		}
		objects, _, err := p.Allocations(payload, 200)
		require.NoError(t, err)
		return objects
	}
	o := organization(t)
	p, _ := start(t, bare, counting, o, nil)
	echo := objects(t, p, o.AccountCreated)
	for _, f := range functions {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			o := organization(t)
			p, _ := start(t, f, counting, o, nil)
			payload, err := o.Duplicate(p)
			require.NoError(t, err)
			own := int(math.Round(objects(t, p, payload) - echo))
			hold(t, "allocations", largest{own, f.Name}, limits.Allocations[f.Name])
		})
	}
}
