package test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/test/docs"
)

// actions are the rights on Huawei Cloud that a method of the client needs, by its name. Their
// source is the page of each API.
func actions() map[string][]string {
	return map[string][]string{
		"RegisteredRegions": {
			"IdentityCenter:instance:describeRegisteredRegions", "organizations:delegatedAdministrators:list",
		},
		"RegisterRegion":                 {"IdentityCenter:instance:registerRegion"},
		"Account":                        {"organizations:accounts:get"},
		"Accounts":                       {"organizations:accounts:list"},
		"CreateAccountStatus":            {"organizations:createAccountStatuses:get"},
		"DelegatedAdministrators":        {"organizations:delegatedAdministrators:list"},
		"DelegatedServices":              {"organizations:delegatedServices:list"},
		"TrustedServices":                {"organizations:trustedServices:list"},
		"Services":                       {"organizations:services:list"},
		"EnableTrustedService":           {"organizations:trustedServices:enable"},
		"RegisterDelegatedAdministrator": {"organizations:delegatedAdministrators:register"},
	}
}

// writes are the actions that change something.
var writes = regexp.MustCompile(`:(registerRegion|enable|register)$`)

// policy is a document of rights, of either cloud.
type policy struct {
	Version   string
	Statement []struct {
		Effect    string
		Action    oneOrMore
		Condition map[string]map[string]oneOrMore
	}
}

// oneOrMore is what a document gives as a text or as a list of them.
type oneOrMore []string

func (o *oneOrMore) UnmarshalJSON(b []byte) error {
	if strings.HasPrefix(string(b), "[") {
		return json.Unmarshal(b, (*[]string)(o))
	}
	*o = []string{""}
	return json.Unmarshal(b, &(*o)[0])
}

func (p policy) actions() []string {
	var all []string
	for _, s := range p.Statement {
		all = append(all, s.Action...)
	}
	slices.Sort(all)
	return all
}

// policies are the documents that the page about rights shows, by their headings.
func policies(t *testing.T) map[string]policy {
	t.Helper()
	page, err := os.ReadFile("../docs/rights.md")
	require.NoError(t, err)
	all := map[string]policy{}
	for _, b := range docs.Blocks(string(page)) {
		if b.Language != "json" {
			continue
		}
		var p policy
		require.NoError(t, json.Unmarshal([]byte(b.Text), &p), "under %q", b.Heading)
		require.NotEmpty(t, p.Statement, "under %q", b.Heading)
		require.NotContains(t, all, b.Heading, "one document under each heading")
		for _, s := range p.Statement {
			assert.Equal(t, "Allow", s.Effect, "under %q", b.Heading)
			assert.NotEmpty(t, s.Action, "under %q", b.Heading)
		}
		all[b.Heading] = p
	}
	return all
}

// methods are what a call of the client is, in the Go files of a folder, by the function in which
// it stands.
func methods(t *testing.T, folder string, is func(call *ast.SelectorExpr) bool) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", folder, "*.go"))
	require.NoError(t, err)
	found := map[string][]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.SelectorExpr); ok && is(call) {
					found[f.Name.Name] = append(found[f.Name.Name], call.Sel.Name)
				}
				return true
			})
		}
	}
	return found
}

// isOf reports whether a selector is one of what name stands for, itself or as a field.
func isOf(name string) func(*ast.SelectorExpr) bool {
	return func(s *ast.SelectorExpr) bool {
		switch x := s.X.(type) {
		case *ast.Ident:
			return x.Name == name
		case *ast.SelectorExpr:
			return x.Sel.Name == name
		}
		return false
	}
}

// Every call of the client has its action, and the table gives each function those of its calls and
// no others. So does its session policy.
func TestTheRightsOfEachFunctionAreThoseOfItsCalls(t *testing.T) {
	t.Parallel()
	sent := methods(t, "pkg/client", func(s *ast.SelectorExpr) bool {
		return s.Sel.Name == "organizations" || isOf("IdentityCenter")(s)
	})
	for method := range sent {
		assert.Contains(t, actions(), method, "test/rights_test.go doesn't know what right %s needs", method)
	}
	assert.GreaterOrEqual(t, len(sent), len(actions()))

	listed, function := map[string][]string{}, ""
	for _, row := range lines(t, "docs/rights.md") {
		cells := strings.Split(row, " | ")
		if action := strings.Trim(cells[len(cells)-min(len(cells), 2)], "`"); strings.Count(action, ":") == 2 {
			if name := strings.Trim(cells[0], "| "); name != "" {
				function = name
			}
			listed[function] = append(listed[function], action)
		}
	}
	helpers := methods(t, "internal/register", isOf("api"))
	folders, err := os.ReadDir("../functions")
	require.NoError(t, err)
	for _, folder := range folders {
		path := filepath.Join("functions", folder.Name())
		needed := map[string]bool{}
		add := func(method string) {
			for _, action := range actions()[method] {
				needed[action] = true
			}
		}
		for _, called := range methods(t, path, isOf("api")) {
			for _, method := range called {
				add(method)
			}
		}
		for _, called := range methods(t, path, isOf("register")) {
			for _, helper := range called {
				for _, method := range helpers[helper] {
					add(method)
				}
			}
		}
		assert.NotEmpty(t, needed, folder.Name())
		assert.ElementsMatch(t, slices.Collect(maps.Keys(needed)), listed[folder.Name()], folder.Name())
		session := sessionPolicy(t, path)
		assert.Equal(t, slices.Sorted(maps.Keys(needed)), session.actions(), "the session policy of %s", folder.Name())
	}
}

// sessionPolicy is the document that bounds an agency to what the function calls.
func sessionPolicy(t *testing.T, function string) (p policy) {
	t.Helper()
	document, err := os.ReadFile(filepath.Join("..", function, "policy.json"))
	require.NoError(t, err)
	assert.LessOrEqual(t, len(document), 2048, "STS takes no more")
	require.NoError(t, json.Unmarshal(document, &p))
	assert.Equal(t, "5.0", p.Version)
	return p
}

func TestTheRightsOnHuaweiCloudAreEnoughAndNoMore(t *testing.T) {
	t.Parallel()
	var all, reads, bounded []string
	for _, needed := range actions() {
		for _, action := range needed {
			all = append(all, action)
			switch {
			case !writes.MatchString(action):
				reads = append(reads, action)
			case strings.HasPrefix(action, "organizations:"):
				bounded = append(bounded, action)
			}
		}
	}
	once := func(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }
	whole, reading := policies(t)["One key for all functions"], policies(t)["A key that only reads"]
	assert.Equal(t, "5.0", whole.Version)
	assert.Equal(t, "5.0", reading.Version)
	assert.Equal(t, once(all), whole.actions())
	assert.Equal(t, once(reads), reading.actions())
	for _, s := range whole.Statement {
		if slices.Contains(s.Action, bounded[0]) {
			assert.ElementsMatch(t, bounded, s.Action)
			assert.NotEmpty(t, s.Condition["StringEquals"]["organizations:ServicePrincipal"])
		} else {
			assert.Empty(t, s.Condition, "its actions have no condition on the service")
		}
	}
}

// The trust policies let in the roles that are outputs of the template, whole, and nobody else.
func TestTheTrustPoliciesNameEachRoleOfTheStack(t *testing.T) {
	t.Parallel()
	var roles oneOrMore
	for _, line := range lines(t, "template.yaml") {
		if found := regexp.MustCompile(`^  (\w+RoleArn):$`).FindStringSubmatch(line); found != nil {
			roles = append(roles, "<output "+found[1]+">")
		}
	}
	folders, err := os.ReadDir("../functions")
	require.NoError(t, err)
	require.Len(t, roles, len(folders))
	for heading, subjects := range map[string]oneOrMore{
		"Trust policy of the agency":         roles,
		"Trust policy of the audit's agency": {"<output AuditOrganizationRoleArn>"},
	} {
		trust := policies(t)[heading]
		assert.Equal(t, "5.0", trust.Version, heading)
		require.Len(t, trust.Statement, 1, heading)
		assert.Equal(t, oneOrMore{"sts:agencies:assumeWithOIDC"}, trust.Statement[0].Action, heading)
		require.Len(t, trust.Statement[0].Condition, 1, heading)
		equals := trust.Statement[0].Condition["StringEquals"]
		claims := slices.Sorted(maps.Keys(equals))
		assert.Equal(t, []string{"oidc:aud", "oidc:iss", "oidc:sub"}, claims, heading)
		assert.ElementsMatch(t, subjects, equals["oidc:sub"], heading)
	}
}

func TestWhoeverAssumesAnAgencyMayDoThatAlone(t *testing.T) {
	t.Parallel()
	for _, heading := range []string{"Rights of a key that only assumes an agency", "Trust policy for a key"} {
		assert.Equal(t, []string{"sts:agencies:assume"}, policies(t)[heading].actions(), heading)
		assert.Equal(t, "5.0", policies(t)[heading].Version, heading)
	}
	role := policies(t)["Right of a role on AWS"]
	assert.Equal(t, []string{"sts:GetWebIdentityToken"}, role.actions())
	template := strings.Join(lines(t, "deploy/function.yaml"), "\n")
	for operator, keys := range role.Statement[0].Condition {
		for key := range keys {
			assert.Regexp(t, `"?`+operator+`"?: \{`+key+`: `, template, "as the roles of the stack have it")
		}
	}
	assert.Len(t, role.Statement[0].Condition, 4)
}

func TestTheRightsOnAWSAreForWhatTheStackHas(t *testing.T) {
	t.Parallel()
	documents := policies(t)
	sender := documents["Who sends events"]
	require.Equal(t, []string{"events:PutEvents"}, sender.actions())
	types := sender.Statement[0].Condition["ForAllValues:StringEquals"]["events:detail-type"]
	assert.ElementsMatch(t, oneOrMore{"org.bootstrap", "account.created"}, types, "and not the audit's requests")

	deployer := documents["Who deploys"].actions()
	assert.Contains(t, deployer, "iam:PassRole")
	seen := 0
	for _, file := range []string{"template.yaml", "deploy/function.yaml"} {
		for _, line := range lines(t, file) {
			found := regexp.MustCompile(`Type: AWS::(\w+)::(\w+)`).FindStringSubmatch(line)
			if found == nil {
				continue
			}
			seen++
			service := strings.ToLower(found[1])
			if service == "serverless" {
				service = map[string]string{"Function": "lambda", "StateMachine": "states"}[found[2]]
			}
			assert.True(t, slices.ContainsFunc(deployer, func(action string) bool {
				return strings.HasPrefix(action, service+":")
			}), "whoever deploys may not make %s", found[0])
		}
	}
	assert.Greater(t, seen, 20)
}
