package register_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"registrar/internal/register"
)

// What was read must read the same again, as it is written.
func FuzzAdministrators(f *testing.F) {
	for _, seed := range []string{
		"", "service.A=id:1", " service.A=id:1 , service.A=name:ops", "service.A=name:a=b:c", "service.A=name:\"a\"",
		",",
		"service.A=name:a b", "=id:1", "service.A=id:", "service.A=name:\u2028", "service.A=name:\xff",
		"service.A=ID:1",
		"service.A=id:1,service.A=id:1", "service.A=name:" + strings.Repeat("ä", 129),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var rules register.Administrators
		if rules.UnmarshalText([]byte(text)) != nil {
			return
		}
		var written []string
		for _, rule := range rules {
			assert.NotEqual(t, rule.AccountID == "", rule.AccountName == "", "%+v", rule)
			written = append(written, string(rule.ServicePrincipal)+"="+rule.Selector())
		}
		var again register.Administrators
		assert.NoError(t, again.UnmarshalText([]byte(strings.Join(written, ","))))
		assert.Equal(t, rules, again)
	})
}
