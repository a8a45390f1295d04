// Command invoke sends an event to a function: to the one that the sandbox serves on this machine, or with REMOTE=1 to the deployed one,
// through the aws client. It is told by the environment what make is told:
//
//	FUNCTION  register-region or register-admin
//	EVENT     the event's file; for a deployed function one outside events/, whose samples name things that aren't yours
//	DRY_RUN   1: send it with "dry_run": true in its data
//	PORT      of the sandbox, 3001 unless set
//	REMOTE    1: the deployed function. What it will touch is shown first, and it asks before it goes on
//	STACK     of the deployed function, whose name is <STACK>-<FUNCTION>; empty: FUNCTION is the whole name
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
)

func main() {
	if err := run(context.Background(), os.Getenv, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "invoke:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, env func(string) string, in io.Reader, out io.Writer) error {
	name, file := env("FUNCTION"), env("EVENT")
	dry, err1 := yes(env, "DRY_RUN")
	remote, err2 := yes(env, "REMOTE")
	sure, err3 := yes(env, "YES")
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	if name == "" || file == "" {
		return errors.New("say which function and which event: make invoke FUNCTION=register-region EVENT=events/org-bootstrap.json")
	}
	if remote && isSample(file) {
		return errors.New("EVENT is one of the samples in events/, which name things that aren't yours: copy it elsewhere and set what it names")
	}
	payload, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if dry {
		if payload, err = dryRun(payload); err != nil {
			return err
		}
	}
	if !remote {
		return local(ctx, "http://127.0.0.1:"+cmp.Or(env("PORT"), "3001"), name, payload, out)
	}
	if stack := env("STACK"); stack != "" {
		name = stack + "-" + name
	}
	mode := "register"
	if dry {
		mode = "dry run: read only"
	}
	return deployed(ctx, name, mode, payload, sure, in, out)
}

// yes reads a variable that is 1 or true, 0 or false, or empty. Anything else might mean the contrary of what it is taken for.
func yes(env func(string) string, name string) (bool, error) {
	value := env(name)
	if value == "" {
		return false, nil
	}
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: say 1 or 0", name, value)
	}
	return on, nil
}

func isSample(file string) bool {
	path, err := filepath.Abs(file)
	return err != nil || filepath.Base(filepath.Dir(path)) == "events"
}

// dryRun sets dry_run in the data of a CloudEvent, of each in an array, or of the detail of an EventBridge event.
func dryRun(payload []byte) ([]byte, error) {
	var event any
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("EVENT is no JSON: %w", err)
	}
	if err := setDryRun(event); err != nil {
		return nil, err
	}
	return json.Marshal(event)
}

func setDryRun(event any) error {
	if list, ok := event.([]any); ok {
		for _, one := range list {
			if err := setDryRun(one); err != nil {
				return err
			}
		}
		return nil
	}
	object, _ := event.(map[string]any)
	if detail, ok := object["detail"].(map[string]any); ok {
		if detail["specversion"] == nil {
			detail["dry_run"] = true
			return nil
		}
		return setDryRun(detail)
	}
	data, ok := object["data"].(map[string]any)
	if object["specversion"] == nil || !ok {
		return errors.New("DRY_RUN works for a CloudEvent with data, an array of them, or an EventBridge event; set dry_run in EVENT itself")
	}
	data["dry_run"] = true
	return nil
}

// local invokes the function in the sandbox.
func local(ctx context.Context, base, name string, payload []byte, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/2015-03-31/functions/"+name+"/invocations", bytes.NewReader(payload))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("nothing serves %s: call make start in another terminal first", base)
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, string(answer))
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Amz-Function-Error") != "" {
		return fmt.Errorf("%s failed", name)
	}
	return nil
}

// deployed shows what the event will touch, asks, and invokes the function through the aws client.
func deployed(ctx context.Context, name, mode string, payload []byte, yes bool, in io.Reader, out io.Writer) error {
	account, err := aws(ctx, "sts", "get-caller-identity", "--query", "Account", "--output", "text")
	if err != nil {
		return err
	}
	region, err := aws(ctx, "configure", "get", "region")
	if region = cmp.Or(os.Getenv("AWS_REGION"), os.Getenv("AWS_DEFAULT_REGION"), region); region == "" {
		return cmp.Or(err, errors.New("no AWS region: set AWS_REGION"))
	}
	fmt.Fprintf(out, "function %s\naccount  %s\nregion   %s\nsubject  %s\nmode     %s\n", name, account, region, subject(payload), mode)
	if !yes {
		fmt.Fprint(out, "Registering can't be undone by registrar, and a region not at all. Go on? [y/N] ")
		answer, _ := bufio.NewReader(in).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return errors.New("nothing was sent")
		}
	}
	dir, err := os.MkdirTemp("", "invoke")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	event, result := filepath.Join(dir, "event.json"), filepath.Join(dir, "result.json")
	if err := os.WriteFile(event, payload, 0o600); err != nil {
		return err
	}
	failure, err := aws(ctx, "lambda", "invoke", "--region", region, "--function-name", name,
		"--payload", "fileb://"+event, // as it is, to version 1 and 2 of the client alike
		"--query", "FunctionError", "--output", "text", result)
	if err != nil {
		return err
	}
	answer, err := os.ReadFile(result)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, string(answer))
	if failure != "None" {
		return fmt.Errorf("%s failed", name)
	}
	return nil
}

// subject is what a person should see before an event is sent: the region or the accounts it names.
func subject(payload []byte) string {
	var found []string
	var look func(any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, one := range v {
				look(one)
			}
		case map[string]any:
			for _, key := range []string{"region_id", "account_id"} {
				if id, ok := v[key].(string); ok {
					found = append(found, id)
				}
			}
			for _, inner := range v {
				look(inner)
			}
		case string: // an event as text in another
			var inner any
			if json.Unmarshal([]byte(v), &inner) == nil {
				look(inner)
			}
		}
	}
	var event any
	_ = json.Unmarshal(payload, &event)
	look(event)
	return cmp.Or(strings.Join(found, ", "), "none named: the function's own default")
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
		return "", fmt.Errorf("aws %s %s: %s", args[0], args[1], cmp.Or(strings.TrimSpace(stderr.String()), err.Error()))
	}
	return strings.TrimSpace(string(out)), nil
}
