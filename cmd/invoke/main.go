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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"registrar/cmd/internal/call"
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
	dry, err1 := call.Yes("DRY_RUN")
	remote, err2 := call.Yes("REMOTE")
	sure, err3 := call.Yes("YES")
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
	case !remote:
		return call.Local(ctx, name, payload)
	}
	mode, question := "register", "Registering can't be undone by registrar, and a region not at all. Go on?"
	if dry {
		mode = "dry run: read only"
	}
	if sure {
		question = ""
	}
	return call.Deployed(ctx, name, mode, question, payload)
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
