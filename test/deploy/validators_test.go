package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// templates are the files with one: template.yaml, and those that it nests.
func templates(t *testing.T) []string {
	t.Helper()
	nested, err := filepath.Glob(filepath.Join(root, "deploy", "*.yaml"))
	require.NoError(t, err)
	found := []string{"template.yaml"}
	for _, file := range nested {
		found = append(found, path.Join("deploy", filepath.Base(file)))
	}
	return found
}

func TestValidatorsPassTheTemplate(t *testing.T) {
	t.Parallel()
	cmd := node(t, "check.cjs", append(templates(t), definition)...)
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

// AWS's own transform, which cfn-lint runs, sees what a text of ours doesn't show. Each template is
// checked, and each way to break one is reported.
func TestCfnLintPassesTheTemplatesAndReportsBrokenOnes(t *testing.T) {
	t.Parallel()
	needsTools(t, "cfn-lint")
	if _, err := exec.LookPath("cfn-lint"); err != nil {
		t.Skip("cfn-lint isn't on this machine")
	}
	for name, way := range map[string]struct{ file, before, after, says string }{
		"as they are": {},
		"a mapping with the id of another resource": {
			"template.yaml", "        Messages:", "        Resources:", "E0001",
		},
		"a policy that isn't": {"template.yaml", "RetainExceptOnCreate", "Keep", "E3035"},
		"a nested one":        {"deploy/audit.yaml", "!GetAtt Logs.Arn", "!GetAtt Log.Arn", "E1010"},
		"a parameter too many": {
			"template.yaml", "        LogDays: !Ref LogDays", "        LogDayz: !Ref LogDays", "E3043",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(definition)), 0o700))
			for _, file := range append(templates(t), definition) {
				template := string(read(t, file))
				if file == way.file {
					require.Contains(t, template, way.before)
					template = strings.Replace(template, way.before, way.after, 1)
				}
				require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(template), 0o600))
			}
			args := append([]string{"-c", "I", "-t"}, templates(t)...)
			lint := exec.CommandContext(t.Context(), "cfn-lint", args...)
			lint.Dir = dir
			out, err := lint.CombinedOutput()
			assert.Equal(t, way.says == "", err == nil, "%s", out)
			if assert.Contains(t, string(out), way.says); way.says == "" {
				assert.Empty(t, string(out))
			}
		})
	}
}
