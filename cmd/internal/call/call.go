// Package call sends events to functions: to those that the sandbox serves on this machine, and to
// deployed ones, through the aws client.
package call

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

// Yes reads a variable that is 1 or true, 0 or false, or empty. Anything else might mean the
// contrary of what it is taken for.
func Yes(name string) (bool, error) {
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

// Local invokes a function in the sandbox that serves at PORT, 3001 unless set.
func Local(ctx context.Context, name string, payload []byte) (lambdalocal.Answer, error) {
	base := "http://127.0.0.1:" + cmp.Or(os.Getenv("PORT"), "3001")
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

// Deployed invokes a deployed function through the aws client: <STACK>-<name>, or name if STACK
// isn't set. First it shows where that is, what the event asks for, and the mode. If there is a
// question, it asks, and sends nothing unless the answer is yes.
func Deployed(ctx context.Context, name, mode, question string, payload []byte) (lambdalocal.Answer, error) {
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
	lines := []show.Line{
		{Label: "function", Text: name},
		{Label: "account", Text: account},
		{Label: "region", Text: region},
	}
	lines = append(append(lines, show.EventLines(show.Events(payload))...), show.Line{Label: "mode", Text: mode})
	show.NewPrinter(os.Stdout).Print("", lines...)
	if question != "" {
		fmt.Print(question + " [y/N] ")
		answer, _ := bufio.NewReader(os.Stdin).ReadString('\n')
		if answer = strings.ToLower(strings.TrimSpace(answer)); answer != "y" && answer != "yes" {
			return lambdalocal.Answer{}, errors.New("nothing was sent")
		}
	}
	dir, err := os.MkdirTemp("", "registrar")
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
