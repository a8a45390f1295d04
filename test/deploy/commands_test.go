package deploy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// commands runs make with an aws client that writes down what it is asked for, and answers as if
// all was there. Nothing sleeps.
func commands(t *testing.T, args ...string) (calls []string, out string, err error) {
	t.Helper()
	bin, written := t.TempDir(), filepath.Join(t.TempDir(), "calls")
	script := `#!/bin/sh
echo "$*" >>` + written + `
case "$*" in
*get-caller-identity*) echo 123456789012 ;;
*get-queue-url*) shift 3; echo "https://sqs/$1" ;;
*get-queue-attributes*) shift 3; echo "arn:${1##*/}" ;;
*EnableTerminationProtection*prod*|*prod*EnableTerminationProtection*) echo True ;;
*get-schedule*) echo '{"Name": "its definition"}' ;;
*list-event-source-mappings*audit*) ;;
*list-event-source-mappings*) printf '1-2\t3-4\n' ;;
*update-event-source-mapping*--no-enabled*) echo Disabling ;;
*update-event-source-mapping*) echo Enabling ;;
*get-event-source-mapping*) # the first time, it isn't done yet
  if [ "$(grep -c get-event-source-mapping ` + written + `)" -gt 1 ]; then echo Disabled; else echo Disabling; fi ;;
*queryDefinitions\[\].name*) printf 'registrar-dev/register-admin/changed\tregistrar-dev/register-admin/slow\n' ;;
*/lost*queryString*) echo None ;;
*queryString*) echo 'filter @message like "SUBJECT"' ;;
*start-query*) echo 1-2-3 ;;
*--query?status*) echo Complete ;;
*get-query-results*) printf '@timestamp\t2026-01-02 03:04:05.678\nlevel\tERROR\nerr\tstatus 401\tunknown key\n@ptr\tx\n'
  printf '@timestamp\t2026-01-02 03:04:06.789\nlevel\tWARN\n' ;;
esac
`
	for name, program := range map[string]string{"aws": script, "sleep": "#!/bin/sh\n"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte(program), 0o700))
	}
	cmd := makeIn(root, append([]string{"-o", "build"}, args...)...)
	cmd.Env = append(cmd.Env, "PATH="+bin+":"+os.Getenv("PATH"), "AWS_REGION=eu-central-1")
	b, err := cmd.CombinedOutput()
	text, _ := os.ReadFile(written)
	for line := range strings.Lines(string(text)) {
		calls = append(calls, strings.TrimSpace(line))
	}
	return calls, string(b), err
}

func TestMakeDeploysDevAsItIs(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "deploy", "BUCKET=artifacts")
	require.NoError(t, err, out)
	assert.Contains(t, out, "This deploys the stack registrar-dev in account 123456789012, region eu-central-1")
	require.Len(t, calls, 5)
	deployed, parameters, _ := strings.Cut(calls[3], " --parameter-overrides ") // TestNoParameterOfAStageIsLost has all
	assert.Regexp(t, `^RegionId=cn-north-4 .*DryRun=true`, parameters)
	calls[3] = deployed
	assert.Equal(t, []string{
		"sts get-caller-identity --query Account --output text",
		"s3api head-bucket --bucket artifacts",
		"cloudformation package --template-file template.yaml --s3-bucket artifacts --s3-prefix registrar-dev " +
			"--output-template-file dist/registrar-dev.yaml",
		"cloudformation deploy --template-file dist/registrar-dev.yaml " +
			"--s3-bucket artifacts --s3-prefix registrar-dev " +
			"--stack-name registrar-dev --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND " +
			"--no-fail-on-empty-changeset --tags project=registrar stage=dev",
		"cloudformation describe-stacks --stack-name registrar-dev " +
			"--query Stacks[0].Outputs[].[OutputKey,OutputValue] --output table",
	}, calls)
}

func TestMakeDeploysProdOnlyWhenItIsFilledInAndProtectsIt(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "deploy", "STAGE=prod", "BUCKET=artifacts")
	require.Error(t, err)
	assert.Contains(t, out, "Choose first. deploy/samconfig.prod.toml has placeholders for:\n  - RegionId: <the region")
	assert.Contains(t, out, "- Administrators: <")
	assert.Empty(t, calls, "nothing is asked of AWS")

	filled := strings.ReplaceAll(string(read(t, "deploy/samconfig.prod.toml")), "<the region of", "cn-north-4")
	filled = strings.ReplaceAll(filled, "=<", "=")
	file := filepath.Join(t.TempDir(), "samconfig.prod.toml")
	require.NoError(t, os.WriteFile(file, []byte(filled), 0o600))
	calls, out, err = commands(t, "deploy", "STAGE=prod", "BUCKET=artifacts", "SETTINGS="+file)
	require.NoError(t, err, out)
	assert.Contains(t, calls,
		"cloudformation update-termination-protection --stack-name registrar-prod --enable-termination-protection")
}

func TestMakeDeletes(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "delete", "STAGE=dev")
	require.NoError(t, err, out)
	assert.Contains(t, out, "This deletes the stack registrar-dev")
	assert.Equal(t, []string{
		"cloudformation delete-stack --stack-name registrar-dev",
		"cloudformation wait stack-delete-complete --stack-name registrar-dev",
	}, calls[2:])
}

func TestMakeDoesNotDeleteWhatIsProtected(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "delete", "STAGE=prod")
	require.Error(t, err)
	assert.Contains(t, out,
		"update-termination-protection --stack-name registrar-prod --no-enable-termination-protection")
	assert.NotContains(t, strings.Join(calls, " "), "delete-stack")
}

func TestMakeReplays(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "replay", "FUNCTION=register-admin", "STAGE=prod")
	require.NoError(t, err, out)
	require.NotEmpty(t, calls)
	assert.Equal(t, "sqs start-message-move-task --source-arn arn:registrar-prod-register-admin-dead-letters "+
		"--destination-arn arn:registrar-prod-register-admin --max-number-of-messages-per-second 1",
		calls[len(calls)-1])
}

func TestMakeShowsLogs(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "-s", "logs", "FUNCTION=register-admin", "SUBJECT=0a6d25d2", "HOURS=2")
	require.NoError(t, err, out)
	assert.Equal(t, `2026-01-02 03:04:05.678
  level          ERROR
  err            status 401	unknown key

2026-01-02 03:04:06.789
  level          WARN

2 found in the last 2 hours by registrar-dev/register-admin/what-happened
`, out)
	started := strings.Join(calls, "\n")
	assert.Contains(t, started, "--query-definition-name-prefix registrar-dev/register-admin/what-happened")
	assert.Contains(t, started, `start-query --log-group-names /aws/lambda/registrar-dev-register-admin `+
		`--query-string filter @message like "0a6d25d2" --start-time`)

	_, out, err = commands(t, "-s", "logs", "FUNCTION=register-admin")
	require.NoError(t, err, out)
	assert.Contains(t, out, "in the last 24 hours by registrar-dev/register-admin/needs-a-person")
}

func TestMakeShowsWhatHappenedToAnAccountInAllFunctions(t *testing.T) {
	t.Parallel()
	calls, out, err := commands(t, "-s", "logs", "ACCOUNT=0a6d_25d2")
	require.NoError(t, err, out)
	assert.Contains(t, out, "2 found in the last 24 hours by registrar-dev/what-happened-to-account")
	names, err := functionNames()
	require.NoError(t, err)
	started := strings.Join(calls, "\n")
	assert.Contains(t, started, "--query-definition-name-prefix registrar-dev/what-happened-to-account")
	groups := " /aws/lambda/registrar-dev-" + strings.Join(names, " /aws/lambda/registrar-dev-")
	assert.Contains(t, started,
		"start-query --log-group-names"+groups+` --query-string filter @message like "0a6d_25d2" --start-time`)
}

func TestMakePausesAndResumes(t *testing.T) {
	t.Parallel()
	for target, c := range map[string]struct {
		said, state, option, became string
		asked                       int // how often it is asked whether a mapping has come to rest
	}{
		"pause":  {"This stops", "DISABLED", "--no-enabled", "Disabled", 7},
		"resume": {"This starts", "ENABLED", "--enabled", "Enabling", 0},
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			calls, out, err := commands(t, target, "STAGE=prod")
			require.NoError(t, err, out)
			assert.Contains(t, out, c.said+" the stack registrar-prod in account 123456789012, region eu-central-1")
			assert.Contains(t, out, "the schedule of registrar-prod-audit-organization: "+c.state)
			assert.Contains(t, strings.Join(calls, "\n"), "State: '"+c.state+"'}")
			want := []string{`scheduler update-schedule --cli-input-json {"Name": "its definition"}`}
			names, err := functionNames()
			require.NoError(t, err)
			for _, name := range names {
				want = append(want, "lambda list-event-source-mappings --function-name registrar-prod-"+name+
					" --query EventSourceMappings[].UUID --output text")
				for _, mapping := range []string{"1-2", "3-4"} {
					if name != audit { // which has none
						want = append(want, "lambda update-event-source-mapping --uuid "+mapping+" "+c.option+
							" --query State --output text")
						assert.Contains(t, out, "the queue of registrar-prod-"+name+": "+c.became)
					}
				}
			}
			before := len(calls)
			calls = slices.DeleteFunc(calls, func(call string) bool {
				return strings.HasPrefix(call, "lambda get-event-source-mapping --uuid ")
			})
			assert.Equal(t, c.asked, before-len(calls), "the first mapping takes its time")
			assert.Equal(t, want, calls[len(calls)-len(want):])
		})
	}
}

func TestMakeLogsSaysWhatItCanNotAsk(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ with, want string }{
		"an unknown query":    {"QUERY=lost", "There are: registrar-dev/register-admin/changed"},
		"without a subject":   {"QUERY=what-happened", "What happened to which account or region? SUBJECT=<id>"},
		"a senseless id":      {`SUBJECT=a"b`, "SUBJECT must be the id of an account or region"},
		"a senseless account": {`ACCOUNT=a"b`, "ACCOUNT or SUBJECT must be the id of an account"},
		"a senseless period":  {"HOURS=a day", "HOURS must be a whole number"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, out, err := commands(t, "-s", "logs", "FUNCTION=register-admin", c.with)
			require.Error(t, err)
			assert.Contains(t, out, c.want)
			assert.NotContains(t, strings.Join(calls, " "), "start-query")
		})
	}
}

func TestMakeAsksWhichFunction(t *testing.T) {
	t.Parallel()
	names, err := functionNames()
	require.NoError(t, err)
	for _, target := range []string{"replay", "logs"} {
		for _, function := range []string{"", "register-nobody"} {
			calls, out, err := commands(t, target, "FUNCTION="+function)
			require.Error(t, err)
			assert.Contains(t, out, "Which function? make "+target+" FUNCTION=<one of "+strings.Join(names, " ")+">")
			assert.Empty(t, calls)
		}
	}
}

func TestMakeSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"a bucket":          {[]string{"deploy"}, "a bucket for the artifacts: make deploy STAGE=... BUCKET=<name>"},
		"a stage to pause":  {[]string{"pause", "STAGE=test"}, "there is no deploy/samconfig.test.toml"},
		"a stage to resume": {[]string{"resume", "STAGE=test"}, "there is no deploy/samconfig.test.toml"},
		"a stage": {
			[]string{"deploy", "STAGE=test", "BUCKET=artifacts"},
			"there is no deploy/samconfig.test.toml. Stages are dev prod",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calls, out, err := commands(t, c.args...)
			require.Error(t, err)
			assert.Contains(t, out, c.want)
			assert.NotContains(t, strings.Join(calls, " "), "cloudformation")
			assert.NotContains(t, strings.Join(calls, " "), "schedule")
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

func TestMakeCheckDeploySaysWhatItLeavesOut(t *testing.T) {
	t.Parallel()
	bin := t.TempDir()
	sh, err := exec.LookPath("sh")
	require.NoError(t, err)
	cmd := exec.Command(sh, "deploy/tools.sh")
	cmd.Dir, cmd.Env = root, []string{"PATH=" + bin}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	assert.Contains(t, string(out), "left out: AWS's own transform and rules, by cfn-lint")
	assert.Contains(t, string(out), "left out: creating the stack in moto")
}

func TestTerraformIsCheckedAsFarAsItCanBe(t *testing.T) {
	t.Parallel()
	type tools map[string][2]string // what each does to fmt and to validate
	for name, c := range map[string]struct {
		tools tools
		out   string
		fails bool
	}{
		"neither": {nil, "left out: deploy/functiongraph by OpenTofu or Terraform", false},
		"valid":   {tools{"tofu": {"exit 0", "exit 0"}}, "is valid, says the provider", false},
		"invalid": {
			tools{"tofu": {"exit 0", "echo no such argument >&2; exit 1"}}, "no such argument", true,
		},
		"badly formed": {tools{"tofu": {"echo main.tf; exit 3", "exit 0"}}, "main.tf", true},
		"without a provider": {
			tools{"terraform": {"exit 0", "echo 'Error: Missing required provider' >&2; exit 1"}},
			"left out: deploy/functiongraph by the provider huaweicloud/huaweicloud", false,
		},
		"both": {tools{"tofu": {"exit 0", "exit 0"}, "terraform": {"exit 1", "exit 1"}}, "is valid", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bin := t.TempDir()
			for tool, does := range c.tools {
				script := "#!/bin/sh\ncase \"$*\" in\n" +
					"'-chdir=deploy/functiongraph fmt -check -diff') " + does[0] + " ;;\n" +
					"'-chdir=deploy/functiongraph validate -no-color') " + does[1] + " ;;\n*) exit 2 ;;\nesac\n"
				require.NoError(t, os.WriteFile(filepath.Join(bin, tool), []byte(script), 0o700))
			}
			sh, err := exec.LookPath("sh")
			require.NoError(t, err)
			cmd := exec.Command(sh, "deploy/validate.sh")
			cmd.Dir, cmd.Env = root, []string{"PATH=" + bin}
			out, err := cmd.CombinedOutput()
			assert.Equal(t, c.fails, err != nil, string(out))
			assert.Contains(t, string(out), c.out)
		})
	}
}

func TestMakeWithoutNodeSaysSo(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{
		"none":       "#!/bin/sh\nexit 127\n",
		"an old one": "#!/bin/sh\necho v18.20.0\n",
	} {
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

// SAM reads these lines whatever their form, so make must lose none: without DryRun=true a stage
// would register.
func TestNoParameterOfAStageIsLost(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "samconfig.toml")
	require.NoError(t, os.WriteFile(file, []byte(`stack_name = "x"
parameter_overrides = [
	"RegionId=cn-north-4" , # ours
  "LogDays=14",
  "Administrators=<which services? $HOME, * and & mean nothing here>",
    "DryRun=true"
]
`), 0o600))
	out, err := makeIn(root, "-n", "deploy", "SETTINGS="+file, "BUCKET=b").CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), "--parameter-overrides 'RegionId=cn-north-4' 'LogDays=14' "+
		"'Administrators=<which services? $HOME, * and & mean nothing here>' 'DryRun=true'\n")
}
