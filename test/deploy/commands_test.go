package deploy

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestValidatorsPassTheTemplate(t *testing.T) {
	t.Parallel()
	cmd := node(t, "check.cjs", "template.yaml", definition)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err)
	assert.Empty(t, string(out))
}

// TestValidatorsReportABrokenTemplate takes one run for all, since each takes seconds: a template broken in all ways, and a workflow for each.
func TestValidatorsReportABrokenTemplate(t *testing.T) {
	t.Parallel()
	dir, want := t.TempDir(), []string{}
	change := func(text string, way [3]string) string {
		changed := strings.ReplaceAll(text, way[0], way[1])
		require.NotEqual(t, text, changed, way[0])
		want = append(want, way[2])
		return changed
	}
	template := string(read(t, "template.yaml"))
	for _, way := range [][3]string{ // before, after, what is said about it
		{"RedrivePolicy:", "RedrivePolice:", "Did you mean 'RedrivePolicy'?"},
		{"AWS::SNS::Subscription", "AWS::SNS::Subscriber", "AWS::SNS::Subscriber"},
		{"!GetAtt Bus.Arn", "!GetAtt Buss.Arn", "Buss"},
		{"Condition: HasAlarmEmail", "Condition: HasAlarmMail", "HasAlarmMail"},
		{"!Ref LogDays", "!Ref LogWeeks", "LogWeeks"},
		{"ComparisonOperator: GreaterThanOrEqualToThreshold", "ComparisonOperator: Above", "ComparisonOperator"},
		{"CredentialsSecretArn", "CredentialsArn", "W2509 has nothing more to say"},
	} {
		template = change(template, way)
	}
	files := []string{filepath.Join(dir, "template.yaml")}
	require.NoError(t, os.WriteFile(files[0], []byte(template), 0o600))
	for _, way := range [][3]string{
		{`"Next": "Summary"`, `"Next": "Sumary"`, "target: Sumary"},
		{`"Next": "AccountDone"`, `"Next": "AccountFailed"`, "AccountDone is not reachable"},
		{`"Type": "Succeed"`, `"Type": "Success"`, "/States/Done"},
		{`"ItemsPath": "$.accounts"`, `"ItemsPath": "$.accounts["`, "/States/RegisterAdministrators/ItemsPath is invalid"},
		{`"Next": "PutResult"`, `"Comment": ""`, `State "Completed" MUST contain exactly one of "End", "Next"`},
	} {
		file := filepath.Join(dir, fmt.Sprintf("workflow%d.json", len(files)))
		require.NoError(t, os.WriteFile(file, []byte(change(string(read(t, definition)), way)), 0o600))
		files = append(files, file)
	}
	out, err := node(t, "check.cjs", files...).CombinedOutput()
	require.Error(t, err)
	for _, said := range want {
		assert.Contains(t, string(out), said)
	}
}

// commands runs make with an aws client that writes down what it is asked for, and answers as if all was there.
func commands(t *testing.T, args ...string) (calls []string, out string, err error) {
	t.Helper()
	bin, written := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	script := `#!/bin/sh
echo "$*" >>` + written + `
case "$*" in
*get-caller-identity*) echo 123456789012 ;;
*get-queue-url*) shift 3; echo "https://sqs/$1" ;;
*get-queue-attributes*) shift 3; echo "arn:${1##*/}" ;;
esac
`
	require.NoError(t, os.WriteFile(filepath.Join(bin, "aws"), []byte(script), 0o700))
	cmd := makeIn(root, append([]string{"-o", "build"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"), "AWS_REGION=eu-central-1")
	b, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(written)
	for line := range strings.Lines(string(text)) {
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls, string(b), err
}

func TestMakeDeploys(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "deploy", "STAGE=prod", "BUCKET=artifacts")
	require.NoError(t, err, out)
	assert.Contains(t, out, "This deploys the stack registrar-prod in account 123456789012, region eu-central-1")
	assert.Equal(t, []string{
		"sts get-caller-identity --query Account --output text",
		"s3api head-bucket --bucket artifacts",
		"cloudformation package --template-file template.yaml --s3-bucket artifacts --s3-prefix registrar-prod --output-template-file dist/registrar-prod.yaml",
		"cloudformation deploy --template-file dist/registrar-prod.yaml --s3-bucket artifacts --s3-prefix registrar-prod --stack-name registrar-prod " +
			"--capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --no-fail-on-empty-changeset --tags project=registrar stage=prod " +
			"--parameter-overrides RegionId=cn-north-4 ServicePrincipals=service.SecMaster DryRun=false LogDays=365 ArchiveDays=365",
		"cloudformation describe-stacks --stack-name registrar-prod --query Stacks[0].Outputs[].[OutputKey,OutputValue] --output table",
	}, calls)
}

func TestMakeDeletes(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "delete", "STAGE=dev")
	require.NoError(t, err, out)
	assert.Contains(t, out, "This deletes the stack registrar-dev")
	assert.Equal(t, []string{
		"sts get-caller-identity --query Account --output text",
		"cloudformation delete-stack --stack-name registrar-dev",
		"cloudformation wait stack-delete-complete --stack-name registrar-dev",
	}, calls)
}

func TestMakeReplays(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "replay", "FUNCTION=register-admin", "STAGE=prod")
	require.NoError(t, err, out)
	require.NotEmpty(t, calls)
	assert.Equal(t, "sqs start-message-move-task --source-arn arn:registrar-prod-register-admin-dead-letters --destination-arn arn:registrar-prod-register-admin "+
		"--max-number-of-messages-per-second 1", calls[len(calls)-1])

	for _, function := range []string{"", "register-nobody"} {
		calls, out, err = commands(t, "replay", "FUNCTION="+function)
		require.Error(t, err)
		assert.Contains(t, out, "Which function? make replay FUNCTION=<one of register-admin register-region>")
		assert.NotContains(t, strings.Join(calls, " "), "start-message-move-task")
	}
}

func TestMakeSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a bucket": {[]string{"deploy"}, "a bucket for the artifacts: make deploy STAGE=... BUCKET=<name>"},
		"a stage":  {[]string{"deploy", "STAGE=test", "BUCKET=artifacts"}, "there is no deploy/samconfig.test.toml. Stages are dev prod"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, out, err := commands(t, c.args...)
			require.Error(t, err)
			assert.Contains(t, out, c.want)
			assert.NotContains(t, strings.Join(calls, " "), "cloudformation")
		})
	}
	t.Run("the aws client, credentials and a region", func(t *testing.T) {
		t.Parallel()
		for _, script := range []string{"", "#!/bin/sh\nexit 1\n"} {
			bin := t.TempDir()
			for _, tool := range []string{"sh", "make", "sed", "echo"} {
				path, err := exec.LookPath(tool)
				require.NoError(t, err)
				require.NoError(t, os.Symlink(path, filepath.Join(bin, tool)))
			}
			want := []string{"the aws client"}
			if script != "" {
				require.NoError(t, os.WriteFile(filepath.Join(bin, "aws"), []byte(script), 0o700))
				want = []string{"credentials of AWS", "a region of AWS"}
			}
			cmd := makeIn(root, "ready-delete")
			cmd.Env = []string{"PATH=" + bin}
			out, err := cmd.CombinedOutput()
			require.Error(t, err)
			for _, missing := range want {
				assert.Contains(t, string(out), missing)
			}
		}
	})
}

func TestMakeWithoutNodeSaysSo(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"none": "#!/bin/sh\nexit 127\n", "an old one": "#!/bin/sh\necho v18.20.0\n"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			require.NoError(t, os.WriteFile(filepath.Join(bin, "node"), []byte(script), 0o700))
			cmd := makeIn(root, "-s", "check-deploy")
			cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"))
			var stdout bytes.Buffer
			cmd.Stdout = &stdout
			require.Error(t, cmd.Run())
			assert.Equal(t, "Node.js 20 or newer is missing: install it from https://nodejs.org\n", stdout.String())
		})
	}
}

// TestTwoBuildsAreTheSame builds for Lambda here and from a copy of the sources elsewhere.
func TestTwoBuildsAreTheSame(t *testing.T) {
	t.Parallel()
	elsewhere := t.TempDir()
	for _, part := range []string{"functions", "internal", "pkg"} {
		require.NoError(t, os.CopyFS(filepath.Join(elsewhere, part), os.DirFS(filepath.Join(root, part))))
	}
	for _, file := range []string{"go.mod", "go.sum", "Makefile"} {
		require.NoError(t, os.WriteFile(filepath.Join(elsewhere, file), read(t, file), 0o600))
	}
	sums := map[string][]string{}
	for _, dir := range []string{root, elsewhere} {
		dist := t.TempDir()
		out, err := makeIn(dir, "-s", "build", "DIST="+dist).CombinedOutput()
		require.NoError(t, err, string(out))
		for _, name := range functions(t) {
			b, err := os.ReadFile(filepath.Join(dist, name, "bootstrap"))
			require.NoError(t, err)
			sum := sha256.Sum256(b)
			sums[name] = append(sums[name], string(sum[:]))
		}
	}
	for name, sum := range sums {
		assert.Equal(t, sum[0], sum[1], name)
	}
}

// SAM reads these lines whatever their form, so make must lose none: without DryRun=true a stage would register.
func TestNoParameterOfAStageIsLost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "samconfig.toml")
	require.NoError(t, os.WriteFile(file, []byte("stack_name = \"x\"\nparameter_overrides = [\n\t\"RegionId=cn-north-4\" , # ours\n  \"LogDays=14\",\n    \"DryRun=true\"\n]\n"), 0o600))
	out, err := makeIn(root, "-n", "deploy", "SETTINGS="+file, "BUCKET=b").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--parameter-overrides 'RegionId=cn-north-4' 'LogDays=14' 'DryRun=true'\n")
}
