package deploy

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTheCredentialsAreInASecretAndFunctionsMayReadJustThatOne(t *testing.T) {
	const (
		own      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registrar-AbCdEf"
		key      = "arn:aws:kms:eu-central-1:123456789012:key/1"
		readOnly = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:audit-AbCdEf"
	)
	secret := "Globals/Function/Environment/Variables/HUAWEICLOUD_CREDENTIALS_SECRET"
	rule{
		func(s *stack, r *report) {
			encoded, _ := json.Marshal(s.tree)
			r.want(!strings.Contains(string(encoded), "resolve:secretsmanager"), "a secret's value gets into the stack")
			for _, given := range []map[string]any{
				{}, {"CredentialsSecretArn": own, "CredentialsKeyArn": key}, {"AuditSecretArn": readOnly},
			} {
				deployed := s.deploy(given)
				for id, name := range deployed.functions() {
					want := cmp.Or(given["CredentialsSecretArn"], any("Credentials"))
					if name == audit {
						want = cmp.Or(given["AuditSecretArn"], want)
					}
					told := deployed.environment(id)["HUAWEICLOUD_CREDENTIALS_SECRET"]
					r.want(told == want, "%s: is told another secret than %s", id, want)
					read := deployed.may(id+"Resources/Role", "secretsmanager:GetSecretValue")
					alone := len(read) == 1 && slices.Equal(read[0].Resources, []any{want})
					r.want(alone, "%s: may not read %s alone", id, want)
					var keys []any
					for _, st := range deployed.may(id+"Resources/Role", "kms:Decrypt") {
						keys = append(keys, st.Resources...)
					}
					if given["CredentialsKeyArn"] != nil {
						r.want(slices.Equal(keys, []any{key}), "%s: may decrypt %v", id, keys)
					} else {
						r.want(len(keys) == 0, "%s: may decrypt", id)
					}
				}
				made := deployed.holds(text(dig(s.tree["Resources"], "Credentials", "Condition")))
				r.want(made == (given["CredentialsSecretArn"] == nil), "the stack has a secret nobody needs, or none")
			}
			filled := s.get("Credentials", "SecretString") != nil || s.get("Credentials", "GenerateSecretString") != nil
			r.want(!filled, "the secret's value stands in the template")
		},
		map[string]func(any){
			"its value in the template":    set("Resources/Credentials/Properties/SecretString", "{}"),
			"its value in the environment": set(secret, "{{resolve:secretsmanager:registrar}}"),
			"any secret":                   set(roleRights+"3/Fn::If/2/Resource", "*"),
			"no right":                     drop(roleRights + "3/Fn::If/2/Action"),
			"always the stack's":           set(secret, map[string]any{"Ref": "Credentials"}),
			"a secret nobody needs":        drop("Resources/Credentials/Condition"),
			"the audit's for all":          set(secret, map[string]any{"Ref": "AuditSecretArn"}),
			"the others' for the audit": drop(
				"Resources/AuditOrganization/Properties/Environment/Variables/HUAWEICLOUD_CREDENTIALS_SECRET"),
			"a right to the others'": set(
				"Resources/AuditOrganizationResources/Properties/Parameters/CredentialsSecretArn",
				map[string]any{"Ref": "Credentials"}),
			"any key": set(roleRights+"4/Fn::If/1/Resource", "*"),
		},
	}.test(t)
}
