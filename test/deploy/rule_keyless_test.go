package deploy

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

const (
	agency    = "iam::05261f923e80d3890f33c0056e9b3f80:agency:registrar"
	reading   = "iam::05261f923e80d3890f33c0056e9b3f80:agency:registrar-reads"
	provider  = "iam::05261f923e80d3890f33c0056e9b3f80:oidcProvider:aws"
	audience  = "sts.huaweicloud.com"
	getsToken = "sts:GetWebIdentityToken"
)

// Where credentials may come from, as parameters: a secret that somebody has, a token of AWS
// instead of a key, the same with an agency for the audit alone, and a key that only assumes an
// agency. Without parameters it is a secret that the stack makes.
var (
	ownSecret = map[string]any{
		"CredentialsSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:registrar-AbCdEf",
		"CredentialsKeyArn":    "arn:aws:kms:eu-central-1:123456789012:key/1",
	}
	byToken    = map[string]any{"OidcProviderUrn": provider, "OidcAgencyUrn": agency, "OidcAudience": audience}
	auditApart = with(byToken, "AuditOidcAgencyUrn", reading)
	byAgency   = map[string]any{"AgencyUrn": agency}
)

// with are parameters and one more.
func with(given map[string]any, name string, v any) map[string]any {
	more := maps.Clone(given)
	more[name] = v
	return more
}

func TestWithoutAStoredKeyEachFunctionMayGetOneKindOfTokenAndReadNoSecret(t *testing.T) {
	only := map[string]any{
		"ForAllValues:StringEquals": map[string]any{"sts:IdentityTokenAudience": audience},
		"Null":                      map[string]any{"sts:IdentityTokenAudience": "false"},
		"StringEquals":              map[string]any{"sts:SigningAlgorithm": "RS256"},
		"NumericLessThanEquals":     map[string]any{"sts:DurationSeconds": "300"},
	}
	token := roleRights + "3/Fn::If/1/"
	condition := token + "Condition/"
	rule{
		func(s *stack, r *report) {
			rest := func(deployed *stack) []statement { // without what credentials need
				return slices.DeleteFunc(deployed.statements(), func(st statement) bool {
					return strings.Contains(st.Where, "Credentials") || strings.HasSuffix(st.Where, "GetToken")
				})
			}
			for _, given := range []map[string]any{nil, ownSecret, byAgency} {
				for _, st := range s.deploy(given).statements() {
					may := slices.Contains(st.Actions, any(getsToken))
					r.want(!may, "%s: may get tokens, given %v", st.Where, given)
				}
			}
			for _, given := range []map[string]any{byToken, auditApart} {
				deployed := s.deploy(given)
				made := deployed.holds(text(dig(s.tree["Resources"], "Credentials", "Condition")))
				r.want(!made, "makes a secret, given %v", given)
				getters := 0
				for _, st := range deployed.statements() {
					for _, action := range st.Actions {
						key := strings.HasPrefix(text(action), "kms:") && !strings.HasPrefix(st.Where, "Key ")
						secret := strings.HasPrefix(text(action), "secretsmanager:")
						r.want(!key && !secret, "%s: may %s, and there is no secret", st.Where, action)
						if strings.HasPrefix(text(action), "sts:") {
							getters++
						}
					}
				}
				r.want(getters == len(deployed.functions()), "%d actions of STS are allowed", getters)
				for id := range deployed.functions() {
					may := deployed.may(id+"Resources/Role", getsToken)
					r.want(len(may) == 1 && slices.Equal(may[0].Actions, []any{getsToken}), "%s: may get %v", id, may)
					for _, st := range may {
						r.want(slices.Equal(st.Resources, []any{"*"}), "%s: tokens have no resource", id)
						r.want(reflect.DeepEqual(st.Condition, only), "%s: may get tokens where %v", id, st.Condition)
					}
				}
				same := reflect.DeepEqual(rest(deployed), rest(s))
				r.want(same, "other rights change with the way to credentials")
			}
		},
		map[string]func(any){
			"a secret all the same": set("Conditions/HasOwnSecret", map[string]any{
				"Fn::Equals": []any{map[string]any{"Ref": "CredentialsSecretArn"}, ""},
			}),
			"a right to a secret": set(token+"Action", []any{getsToken, "secretsmanager:GetSecretValue"}),
			"a right to a key":    set(token+"Action", []any{getsToken, "kms:Decrypt"}),
			"tags in tokens":      set(token+"Action", []any{getsToken, "sts:TagGetWebIdentityToken"}),
			"no right":            drop(token + "Action"),
			"an audit without":    drop(auditRights + "1/Fn::If/1/Action"),
			"any audience":        drop(condition + "ForAllValues:StringEquals"),
			"no audience at all":  drop(condition + "Null"),
			"an audience among others": func(tree any) {
				drop(condition + "ForAllValues:StringEquals")(tree)
				set(condition+"ForAnyValue:StringEquals", only["ForAllValues:StringEquals"])(tree)
			},
			"another algorithm": drop(condition + "StringEquals"),
			"a token for long":  set(condition+"NumericLessThanEquals", map[string]any{"sts:DurationSeconds": "3600"}),
			"a resource":        set(token+"Resource", "arn:aws:sts::123456789012:self"),
			"tokens for all": set("Nested/function.yaml/Conditions/HasOidc", map[string]any{
				"Fn::Equals": []any{"", ""},
			}),
			"one function left out": set(
				"Resources/RegisterAdminResources/Properties/Parameters/OidcAudience", ""),
			"another right lost": set(roleRights+"0/Action", map[string]any{
				"Fn::If": []any{"HasOidc", "sqs:ReceiveMessage", []any{"sqs:ReceiveMessage", "sqs:DeleteMessage"}},
			}),
		},
	}.test(t)
}

func TestFunctionsAreToldOneWayToCredentials(t *testing.T) {
	const sts = "https://sts.cn-north-4.myhuaweicloud.com"
	secret := func(string) map[string]any { return map[string]any{"CREDENTIALS_SECRET": "Credentials"} }
	token := func(audits string) func(string) map[string]any {
		return func(name string) map[string]any {
			told := map[string]any{
				"OIDC_PROVIDER_URN": provider, "OIDC_AGENCY_URN": agency, "OIDC_AUDIENCE": audience,
				"SDK_STS_ENDPOINT": sts,
			}
			if name == audit {
				told["OIDC_AGENCY_URN"] = audits
			}
			return told
		}
	}
	own := "Resources/AuditOrganization/Properties/Environment/Variables/HUAWEICLOUD_"
	all := "Globals/Function/Environment/Variables/HUAWEICLOUD_"
	cases := []struct {
		given map[string]any
		want  func(name string) map[string]any
	}{
		{nil, secret},
		{map[string]any{"SessionPolicy": "on", "StsEndpoint": "https://sts.example"}, secret},
		{byToken, token(agency)},
		{auditApart, token(reading)},
		{with(byToken, "StsEndpoint", "https://sts.example"), func(name string) map[string]any {
			return with(token(agency)(name), "SDK_STS_ENDPOINT", "https://sts.example")
		}},
		{with(byToken, "SessionPolicy", "off"), func(name string) map[string]any {
			return with(token(agency)(name), "SESSION_POLICY", "off")
		}},
		{byAgency, func(name string) map[string]any {
			return with(with(secret(name), "AGENCY_URN", agency), "SDK_STS_ENDPOINT", sts)
		}},
		{with(byAgency, "AuditSecretArn", "theirs"), func(name string) map[string]any {
			told := with(with(secret(name), "AGENCY_URN", agency), "SDK_STS_ENDPOINT", sts)
			if name == audit {
				told["CREDENTIALS_SECRET"] = "theirs"
			}
			return told
		}},
	}
	rule{
		func(s *stack, r *report) {
			for _, c := range cases {
				deployed := s.deploy(c.given)
				for id, name := range deployed.functions() {
					told, want := ways(deployed.environment(id)), c.want(name)
					r.want(reflect.DeepEqual(told, want), "%s, given %v: is told %v, not %v", id, c.given, told, want)
				}
			}
		},
		map[string]func(any){
			"a secret all the same":       set(all+"CREDENTIALS_SECRET", map[string]any{"Ref": "Credentials"}),
			"an audit with a secret":      set(own+"CREDENTIALS_SECRET", map[string]any{"Ref": "Credentials"}),
			"no provider":                 drop(all + "OIDC_PROVIDER_URN"),
			"no audience":                 drop(all + "OIDC_AUDIENCE"),
			"the provider for the agency": set(all+"OIDC_AGENCY_URN", map[string]any{"Ref": "OidcProviderUrn"}),
			"an audit like the others":    drop(own + "OIDC_AGENCY_URN"),
			"empty variables":             set(all+"OIDC_AUDIENCE", map[string]any{"Ref": "OidcAudience"}),
			"an agency for nothing":       set(all+"AGENCY_URN", map[string]any{"Ref": "AgencyUrn"}),
			"no agency":                   drop(all + "AGENCY_URN"),
			"an endpoint for nothing":     set(all+"SDK_STS_ENDPOINT", map[string]any{"Ref": "StsEndpoint"}),
			"an agency without endpoint": set("Conditions/HasTemporaryCredentials", map[string]any{
				"Fn::Condition": "HasOidc",
			}),
			"a session policy that stays": drop(all + "SESSION_POLICY"),
			"no session policy":           set(all+"SESSION_POLICY", "off"),
		},
	}.test(t)
}

// ways are the variables about credentials, without what their names begin with.
func ways(environment map[string]any) map[string]any {
	found := map[string]any{}
	for variable, v := range environment {
		if way, ok := strings.CutPrefix(variable, "HUAWEICLOUD_"); ok {
			found[way] = v
		}
	}
	return found
}

func TestTheWaysToCredentialsExcludeEachOther(t *testing.T) {
	const together, beside = "together, or none of them", "about a stored key"
	cases := []struct {
		given map[string]any
		want  string // in what is said against it, "" if it is taken
	}{
		{nil, ""},
		{ownSecret, ""},
		{with(ownSecret, "AgencyUrn", agency), ""},
		{with(byAgency, "AuditSecretArn", ownSecret["CredentialsSecretArn"]), ""},
		{byToken, ""},
		{auditApart, ""},
		{with(byToken, "SessionPolicy", "off"), ""},
		{with(byToken, "OidcProviderUrn", ""), together},
		{with(byToken, "OidcAgencyUrn", ""), together},
		{with(byToken, "OidcAudience", ""), together},
		{map[string]any{"OidcProviderUrn": provider}, together},
		{map[string]any{"OidcAgencyUrn": agency}, together},
		{map[string]any{"OidcAudience": audience}, together},
		{map[string]any{"AuditOidcAgencyUrn": reading}, together},
		{with(byToken, "AgencyUrn", agency), beside},
		{with(byToken, "CredentialsSecretArn", ownSecret["CredentialsSecretArn"]), beside},
		{with(byToken, "CredentialsKeyArn", ownSecret["CredentialsKeyArn"]), beside},
		{with(byToken, "AuditSecretArn", ownSecret["CredentialsSecretArn"]), beside},
	}
	whole := "Rules/AllOfOidcOrNoneOfIt/Assertions/0/Assert/Fn::Or/"
	alone := "Rules/NoKeyBesideOidc/"
	ways := map[string]func(any){
		"no rule that they are whole":  drop("Rules/AllOfOidcOrNoneOfIt"),
		"no rule that they are alone":  drop("Rules/NoKeyBesideOidc"),
		"a rule for secrets, too":      drop(alone + "RuleCondition"),
		"a reason that nobody is told": drop(alone + "Assertions/0/AssertDescription"),
	}
	leaveOut := func(way, path string, i int) {
		ways[fmt.Sprintf("%s %d", way, i)] = func(tree any) {
			parent, last := walk(tree, path)
			parent[last] = slices.Delete(list(parent[last]), i, i+1)
		}
	}
	for i := range 4 {
		leaveOut("none without", whole+"0/Fn::And", i)
		leaveOut("beside it", alone+"Assertions/0/Assert/Fn::And", i)
	}
	for i := range 3 {
		leaveOut("all without", whole+"1/Fn::And", i)
	}
	rule{
		func(s *stack, r *report) {
			for _, c := range cases {
				said := s.deploy(c.given).refusals()
				if c.want == "" {
					r.want(len(said) == 0, "refuses %v: %v", c.given, said)
					continue
				}
				r.want(len(said) == 1 && strings.Contains(said[0], c.want), "given %v, says %v", c.given, said)
			}
		},
		ways,
	}.test(t)
}

func TestParametersOfCredentialsTakeWhatHuaweiCloudCallsThings(t *testing.T) {
	t.Parallel()
	parameters := load(t).tree["Parameters"]
	long := strings.Repeat("x", 64)
	for name, values := range map[string]map[string]bool{
		"OidcProviderUrn": {
			"": true, provider: true, "iam::1:oidcProvider:" + long: true, "iam::1:oidcProvider:" + long + "x": false,
			agency: false, "iam::oidcProvider:aws": false, "iam::*:oidcProvider:aws": false, provider + ",": false,
		},
		"OidcAgencyUrn": {
			"": true, agency: true, "iam::1:agency:a_b+c=d,e.f@g-h": true, "iam::1:agency:" + long + "x": false,
			provider: false, "iam::1:agency:": false, "iam::1:agency:*": false, "arn:aws:iam::1:role/x": false,
		},
		"OidcAudience": {
			"": true, audience: true, "https://sts.huaweicloud.com/aws": true, strings.Repeat("x", 255): true,
			strings.Repeat("x", 256): false, "${aws:username}": false, "a,b": false,
		},
		"SessionPolicy": {"on": true, "off": true, "": false, "true": false},
		"StsEndpoint":   {"https://sts.ap-southeast-1.myhuaweicloud.com": true, "http://sts.example": false, "": false},
	} {
		for v, want := range values {
			assert.Equal(t, want, accepts(dig(parameters, name), v) == "", "%s: %q", name, v)
		}
	}
	pattern := dig(parameters, "OidcAgencyUrn", "AllowedPattern")
	for _, name := range []string{"AuditOidcAgencyUrn", "AgencyUrn"} {
		assert.Equal(t, pattern, dig(parameters, name, "AllowedPattern"), name)
	}
}
