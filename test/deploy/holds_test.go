package deploy

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// given is what the tests deploy.
var given = map[string]any{"RegionId": "cn-north-4", "ServicePrincipals": "service.SecMaster,service.CTS"}

func TestTheTemplate(t *testing.T) {
	t.Parallel()
	for name, rule := range rules {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r report
			rule.check(load(t).deploy(given), &r)
			assert.Empty(t, r)
		})
	}
}

// TestABrokenTemplate holds that each rule reports the template broken in its way: a rule that can't fail holds nothing.
func TestABrokenTemplate(t *testing.T) {
	t.Parallel()
	for name, rule := range rules {
		require.NotEmpty(t, rule.broken, name)
		for way, breakIt := range rule.broken {
			t.Run(name+"/"+way, func(t *testing.T) {
				t.Parallel()
				broken := load(t)
				breakIt(broken.tree)
				var r report
				rule.check(broken.deploy(given), &r)
				assert.NotEmpty(t, r)
			})
		}
	}
}
