// Command invoke sends an event to a function and shows the outcome: to the function that the
// sandbox serves on this machine, or with REMOTE=1 to the deployed one, through the aws client. It
// is told by the environment what make is told:
//
//	FUNCTION  the function's name, as its folder in functions/
//	EVENT     the event's file; for a deployed function one outside events/, whose samples name
//	          things that aren't yours
//	DRY_RUN   1: send it with "dry_run": true in its data
//	PORT      where the sandbox serves, 3001 unless set
//	REMOTE    1: the deployed function. What the event asks for is shown first, and it asks before
//	          it goes on
//	STACK     the stack of the deployed function, which is called <STACK>-<FUNCTION>; without it
//	          FUNCTION is the whole name
//	YES       1: don't ask
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"registrar/cmd/internal/show"
	"registrar/internal/lambdalocal"
)

func main() {
	name := os.Getenv("FUNCTION")
	answer, err := run(context.Background(), name)
	if err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
	i := &show.Invocation{Function: name}
	i.End(answer)
	show.NewPrinter(os.Stdout).Print("", i.Lines()...)
	if answer.Failure() != "" {
		os.Exit(1)
	}
}

// run sends the event.
func run(ctx context.Context, name string) (lambdalocal.Answer, error) {
	file := os.Getenv("EVENT")
	dry, err1 := yes("DRY_RUN")
	remote, err2 := yes("REMOTE")
	sure, err3 := yes("YES")
	if err := errors.Join(err1, err2, err3); err != nil {
		return lambdalocal.Answer{}, err
	}
	if name == "" || file == "" {
		return lambdalocal.Answer{}, errors.New("say which function and which event: " +
			"make invoke FUNCTION=register-region EVENT=events/org-bootstrap.json")
	}
	if path, err := filepath.Abs(file); remote && (err != nil || filepath.Base(filepath.Dir(path)) == "events") {
		return lambdalocal.Answer{}, errors.New("EVENT is one of the samples in events/, which name things " +
			"that aren't yours: copy it elsewhere and set what it names")
	}
	payload, err := os.ReadFile(file)
	if err == nil && !json.Valid(payload) {
		err = fmt.Errorf("%s is not JSON: %w", file, json.Unmarshal(payload, new(any)))
	}
	if err == nil && dry {
		payload, err = dryRun(payload)
	}
	switch {
	case err != nil:
		return lambdalocal.Answer{}, err
	case remote:
		return deployed(ctx, name, dry, payload, sure)
	}
	return local(ctx, "http://127.0.0.1:"+cmp.Or(os.Getenv("PORT"), "3001"), name, payload)
}

// yes reads a variable that is 1 or true, 0 or false, or empty. Anything else might mean the
// contrary of what it is taken for.
func yes(name string) (bool, error) {
	value := os.Getenv(name)
	if value == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: say 1 or 0", name, value)
	}
	return on, nil
}

// dryRun sets dry_run in the data of each event of a payload, but not in events that stand as text
// in another. All events must have it, else none is sent.
func dryRun(payload []byte) ([]byte, error) {
	var whole any
	if err := json.Unmarshal(payload, &whole); err != nil {
		return nil, err
	}
	if setDryRun(whole) != len(show.Events(payload)) {
		return nil, errors.New("DRY_RUN works for CloudEvents and events of EventBridge whose data is an object; " +
			"set dry_run in EVENT itself")
	}
	return json.Marshal(whole)
}

// setDryRun returns how many events it has set.
func setDryRun(v any) (events int) {
	list, _ := v.([]any)
	for _, one := range list {
		events += setDryRun(one)
	}
	object, _ := v.(map[string]any)
	data, _ := object["data"].(map[string]any)
	detail, _ := object["detail"].(map[string]any)
	switch {
	case object["specversion"] != nil && data != nil:
		data["dry_run"] = true
		return 1
	case detail != nil && detail["specversion"] == nil:
		detail["dry_run"] = true
		return 1
	case detail != nil:
		return setDryRun(detail)
	}
	return events
}

// local invokes the function in the sandbox.
func local(ctx context.Context, base, name string, payload []byte) (lambdalocal.Answer, error) {
	url := base + "/2015-03-31/functions/" + name + "/invocations"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(payload))
	if err != nil {
		return lambdalocal.Answer{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return lambdalocal.Answer{}, fmt.Errorf("nothing serves %s: call make start in another terminal first", base)
	}
	if err != nil {
		return lambdalocal.Answer{}, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		var refused struct{ Message string }
		_ = json.Unmarshal(answer, &refused)
		err = errors.New(cmp.Or(refused.Message, resp.Status))
	}
	return lambdalocal.Answer{Payload: answer, FunctionError: resp.Header.Get("X-Amz-Function-Error")}, err
}

// deployed shows what the event asks for, asks, and invokes the function through the aws client.
func deployed(ctx context.Context, name string, dry bool, payload []byte, sure bool) (lambdalocal.Answer, error) {
	if stack := os.Getenv("STACK"); stack != "" {
		name = stack + "-" + name
	}
	account, err := aws(ctx, "sts", "get-caller-identity", "--query", "Account", "--output", "text")
	if err != nil {
		return lambdalocal.Answer{}, err
	}
	region, err := aws(ctx, "configure", "get", "region")
	if region = cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), region); region == "" {
		return lambdalocal.Answer{}, cmp.Or(err, errors.New("no AWS region: set AWS_REGION"))
	}
	mode := "register"
	if dry {
		mode = "dry run: read only"
	}
	lines := []show.Line{
		{Label: "function", Text: name},
		{Label: "account", Text: account},
		{Label: "region", Text: region},
	}
	lines = append(append(lines, show.EventLines(show.Events(payload))...), show.Line{Label: "mode", Text: mode})
	show.NewPrinter(os.Stdout).Print("", lines...)
	if !sure {
		fmt.Print("Registering can't be undone by registrar, and a region not at all. Go on? [y/N] ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return lambdalocal.Answer{}, errors.New("nothing was sent")
		}
	}
	dir, err := os.MkdirTemp("", "invoke")
	if err != nil {
		return lambdalocal.Answer{}, err
	}
	defer os.RemoveAll(dir)
	event, result := filepath.Join(dir, "event.json"), filepath.Join(dir, "result.json")
	if err := os.WriteFile(event, payload, 0o600); err != nil {
		return lambdalocal.Answer{}, err
	}
	failure, err := aws(ctx, "lambda", "invoke", "--region", region, "--function-name", name,
		"--payload", "fileb://"+event, // as it is, to version 1 and 2 of the client alike
		"--query", "FunctionError", "--output", "text", result)
	if err != nil {
		return lambdalocal.Answer{}, err
	}
	if failure == "None" {
		failure = ""
	}
	answer, err := os.ReadFile(result)
	return lambdalocal.Answer{Payload: answer, FunctionError: failure}, err
}

// aws runs the aws client.
func aws(ctx context.Context, args ...string) (string, error) {
	if _, err := exec.LookPath("aws"); err != nil {
		return "", errors.New("the aws client is missing: install it from https://aws.amazon.com/cli")
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "aws", args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		reason := cmp.Or(strings.TrimSpace(stderr.String()), err.Error())
		return "", fmt.Errorf("aws %s %s: %s", args[0], args[1], reason)
	}
	return strings.TrimSpace(string(out)), nil
}
