package deploy

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidatorsPassTheTemplate(t *testing.T) {
	t.Parallel()
	cmd := node(t, "check.cjs", "template.yaml", "deploy/function.yaml", "deploy/audit.yaml", definition)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err)
	assert.Empty(t, string(out))
}

// TestValidatorsReportABrokenTemplate takes one run for all, since each takes seconds: templates
// broken in all ways, and a workflow for each.
func TestValidatorsReportABrokenTemplate(t *testing.T) {
	t.Parallel()
	needsTools(t, "Node.js 20 and the packages of deploy/")
	dir, want := t.TempDir(), []string{}
	change := func(text string, way [3]string) string {
		changed := strings.ReplaceAll(text, way[0], way[1])
		require.NotEqual(t, text, changed, way[0])
		want = append(want, way[2])
		return changed
	}
	var files []string
	broken := func(name, text string) {
		files = append(files, filepath.Join(dir, name))
		require.NoError(t, os.WriteFile(files[len(files)-1], []byte(text), 0o600))
	}
	template := string(read(t, "template.yaml"))
	for _, way := range [][3]string{ // before, after, what is said about it
		{"AWS::SNS::Subscription", "AWS::SNS::Subscriber", "AWS::SNS::Subscriber"},
		{"!GetAtt Bus.Arn", "!GetAtt Buss.Arn", "Buss"},
		{"Condition: HasAlarmEmail", "Condition: HasAlarmMail", "HasAlarmMail"},
		{"SecretArn", "Arn", "W2509 has nothing more to say"},
	} {
		template = change(template, way)
	}
	broken("template.yaml", template)
	nested := strings.ReplaceAll(string(read(t, "deploy/function.yaml")), "CredentialsSecretArn", "CredentialsArn")
	for _, way := range [][3]string{
		{"RedrivePolicy:", "RedrivePolice:", "Did you mean 'RedrivePolicy'?"},
		{"!Ref LogDays", "!Ref LogWeeks", "LogWeeks"},
		{"ComparisonOperator: GreaterThanOrEqualToThreshold", "ComparisonOperator: Above", "ComparisonOperator"},
	} {
		nested = change(nested, way)
	}
	broken("function.yaml", nested)
	for _, way := range [][3]string{
		{`"Next": "Summary"`, `"Next": "Sumary"`, "target: Sumary"},
		{`"Next": "AccountDone"`, `"Next": "AccountFailed"`, "AccountDone is not reachable"},
		{`"Type": "Succeed"`, `"Type": "Success"`, "/States/Done"},
		{
			`"ItemsPath": "$$.Execution.Input.accounts"`, `"ItemsPath": "$$.Execution.Input.accounts["`,
			"/States/RegisterAdministrators/ItemsPath is invalid",
		},
		{`"Next": "PutResult"`, `"Comment": ""`, `State "Completed" MUST contain exactly one of "End", "Next"`},
	} {
		broken(fmt.Sprintf("workflow%d.json", len(files)), change(string(read(t, definition)), way))
	}
	out, err := node(t, "check.cjs", files...).CombinedOutput()
	require.Error(t, err)
	for _, said := range want {
		assert.Contains(t, string(out), said)
	}
}

func TestValidatorsPassTheSchemas(t *testing.T) {
	t.Parallel()
	out, err := node(t, "schemas.cjs", filepath.Join(root, "docs", "schemas")).CombinedOutput()
	assert.NoError(t, err)
	assert.Empty(t, string(out))
}

func TestValidatorsReportASchemaThatStrictModeRefuses(t *testing.T) {
	t.Parallel()
	for name, way := range map[string]struct{ file, before, after, says string }{
		"no type beside properties": {
			"org.audit.json", `"type": "object",`, "", `missing type "object" for keyword "properties"`,
		},
		"a required property nobody knows": {
			"org.region.planned.json", `"required": ["region_id"]`, `"required": ["region"]`,
			`required property "region" is not defined`,
		},
		"an unknown keyword": {"parts.json", `"maxLength"`, `"maxLenght"`, `unknown keyword: "maxLenght"`},
		"another's name":     {"parts.json", "/parts.json", "/part.json", "can't resolve reference parts.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.CopyFS(dir, os.DirFS(filepath.Join(root, "docs", "schemas"))))
			schema := string(read(t, "docs/schemas/"+way.file))
			broken := strings.Replace(schema, way.before, way.after, 1)
			require.NotEqual(t, schema, broken)
			require.NoError(t, os.WriteFile(filepath.Join(dir, way.file), []byte(broken), 0o600))
			out, err := node(t, "schemas.cjs", dir).CombinedOutput()
			require.Error(t, err)
			assert.Contains(t, string(out), way.says)
		})
	}
}
