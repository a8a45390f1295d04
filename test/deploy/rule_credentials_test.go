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
	given := "Resources/RegisterAdminResources/Properties/Parameters/"
	policy := "Resources/CredentialsPolicy/Properties/ResourcePolicy/Statement/0/"
	uses := "Resources/CredentialsKey/Properties/KeyPolicy/Statement/1/"
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
					var wanted []any // its default key needs no right
					switch {
					case given["CredentialsKeyArn"] != nil:
						wanted = []any{key}
					case want == "Credentials":
						wanted = []any{"CredentialsKey.Arn"}
					}
					r.want(slices.Equal(keys, wanted), "%s: may decrypt %v", id, keys)
				}
				made := deployed.holds(text(dig(s.tree["Resources"], "Credentials", "Condition")))
				r.want(made == (given["CredentialsSecretArn"] == nil), "the stack has a secret nobody needs, or none")
			}
			for _, given := range []map[string]any{nil, {"AuditSecretArn": readOnly}} {
				deployed := s.deploy(given)
				var readers []any
				for id, name := range deployed.functions() {
					if name != audit || given == nil {
						readers = append(readers, deployed.function(id, "Role"))
					}
				}
				var others, uses []statement
				for _, st := range deployed.statements() {
					switch st.Where {
					case "CredentialsPolicy OnlyFunctionsRead":
						others = append(others, st)
					case "CredentialsKey OnlySecretsManager":
						uses = append(uses, st)
					}
				}
				for _, st := range slices.Concat(others, uses) {
					all := st.Effect == "Deny" && st.Anybody && slices.Equal(st.Resources, []any{"*"})
					r.want(all && len(st.Condition) == 1, "%s: doesn't refuse all others", st.Where)
				}
				r.want(len(others) == 1 && slices.Equal(others[0].Actions, []any{"secretsmanager:GetSecretValue"}) &&
					sameItems(but(others[0]), readers), "others may read the secret: %v", others)
				r.want(len(uses) == 1 && dig(uses[0].Condition, "StringNotEquals", "kms:ViaService") ==
					"secretsmanager.eu-central-1.amazonaws.com" && sameItems(uses[0].Actions, []any{
					"kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*",
				}), "others may use its key: %v", uses)
			}
			r.want(s.get("CredentialsPolicy", "SecretId") == "Credentials", "the secret has no policy")
			r.want(s.get("CredentialsPolicy", "BlockPublicPolicy") == true, "its policy may let in anybody")
			r.want(s.get("Credentials", "KmsKeyId") == "CredentialsKey.Arn", "the secret has no key of its own")
			r.want(s.get("CredentialsKey", "EnableKeyRotation") == true, "its key stays the same for ever")
			for _, id := range []string{"CredentialsKey", "CredentialsPolicy"} {
				same := dig(s.Resources, id, "Condition") == dig(s.Resources, "Credentials", "Condition")
				r.want(same, "%s: is there without the secret, or not with it", id)
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
			"any key":                   set(roleRights+"4/Fn::If/1/Resource", "*"),
			"no right to its key":       set(given+"CredentialsKeyArn", map[string]any{"Ref": "CredentialsKeyArn"}),
			"the account's key":         drop("Resources/Credentials/Properties/KmsKeyId"),
			"the same key":              drop("Resources/CredentialsKey/Properties/EnableKeyRotation"),
			"a secret for all":          drop("Resources/CredentialsPolicy"),
			"a policy of another":       set("Resources/CredentialsPolicy/Properties/SecretId", "another"),
			"a public policy":           drop("Resources/CredentialsPolicy/Properties/BlockPublicPolicy"),
			"a policy without a secret": drop("Resources/CredentialsPolicy/Condition"),
			"a key without a secret":    drop("Resources/CredentialsKey/Condition"),
			"some may read":             set(policy+"Principal", map[string]any{"AWS": "arn:aws:iam::1:root"}),
			"all may read":              set(policy+"Effect", "Allow"),
			"some actions":              set(policy+"Action", "secretsmanager:DescribeSecret"),
			"one may not read": func(tree any) {
				readers, _ := walk(tree, policy+"Condition/ArnNotEquals/aws:PrincipalArn")
				readers["aws:PrincipalArn"] = list(readers["aws:PrincipalArn"])[1:]
			},
			"an audit that reads both": set(policy+"Condition/ArnNotEquals/aws:PrincipalArn", []any{
				attribute("RegisterRegionResources", "Outputs.RoleArn"),
				attribute("RegisterServiceResources", "Outputs.RoleArn"),
				attribute("RegisterAdminResources", "Outputs.RoleArn"),
				attribute("AuditOrganizationResources", "Outputs.RoleArn"),
			}),
			"a key for all":    drop("Resources/CredentialsKey/Properties/KeyPolicy/Statement/1/Condition"),
			"a key by another": set(uses+"Condition/StringNotEquals/kms:ViaService", "sqs.eu-central-1.amazonaws.com"),
			"a key for some":   set(uses+"Action", []any{"kms:Encrypt"}),
		},
	}.test(t)
}
