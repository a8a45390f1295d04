// Command audit asks audit-organization how the organization is and how it shall be, and prints
// both side by side. It asks the function that the sandbox serves on this machine, or with REMOTE=1
// the deployed one, through the aws client. It ends with 1 if they differ, and with 2 if they can't
// be compared. The environment tells it what make is told:
//
//	HEAL      1: have the function ask the others for what is missing; without it, it only reads
//	PORT      where the sandbox serves, 3001 unless set
//	REMOTE    1: the deployed function
//	STACK     the stack of the deployed function, which is called <STACK>-audit-organization
//	YES       1: with HEAL=1 and REMOTE=1, don't ask
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"registrar/cmd/internal/call"
	"registrar/internal/lambdalocal"
	"registrar/pkg/events"
)

const function = "audit-organization"

func main() {
	result, err := audit(context.Background())
	if err != nil {
		fmt.Fprintln(os.Stderr, "audit:", err)
		os.Exit(2)
	}
	write(os.Stdout, result)
	if result.Outcome != events.Passed {
		os.Exit(1)
	}
}

// audit sends an org.audit of now, and returns what came of it.
func audit(ctx context.Context) (events.AuditResult, error) {
	heal, err1 := call.Yes("HEAL")
	remote, err2 := call.Yes("REMOTE")
	sure, err3 := call.Yes("YES")
	if err := errors.Join(err1, err2, err3); err != nil {
		return events.AuditResult{}, err
	}
	now := time.Now().UTC().Format(time.RFC3339Nano)
	payload, err := json.Marshal(map[string]any{
		"specversion": "1.0", "id": "audit/" + now, "source": "/make/audit", "type": "org.audit", "time": now,
		"data": map[string]any{"dry_run": !heal},
	})
	if err != nil {
		return events.AuditResult{}, err
	}
	if !remote {
		return read(call.Local(ctx, function, payload))
	}
	mode, question := "dry run: read only", ""
	if heal {
		mode = "ask for what is missing"
		if !sure {
			question = "What is missing will be registered, which registrar can't undo. Go on?"
		}
	}
	return read(call.Deployed(ctx, function, mode, question, payload))
}

// read takes the result out of what the function answered.
func read(answer lambdalocal.Answer, err error) (events.AuditResult, error) {
	if err != nil {
		return events.AuditResult{}, err
	}
	var failed struct{ ErrorType, ErrorMessage string }
	if answer.Failure() != "" {
		_ = json.Unmarshal(answer.Payload, &failed)
		return events.AuditResult{}, fmt.Errorf("%s: %s",
			cmp.Or(failed.ErrorType, answer.Failure()), cmp.Or(failed.ErrorMessage, string(answer.Payload)))
	}
	var out struct{ Data events.AuditResult }
	if err := json.Unmarshal(answer.Payload, &out); err != nil || out.Data.AuditFindings == nil {
		return events.AuditResult{}, fmt.Errorf("it answered something else than an audit: %.600s", answer.Payload)
	}
	return out.Data, nil
}

// write prints a row for each thing that shall be, or is and shall not be.
func write(w io.Writer, r events.AuditResult) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(wanted, now string) { fmt.Fprintf(t, "%s\t%s\n", wanted, now) }
	row("WANTED", "NOW")
	observed := cmp.Or(string(r.Region.Observed), "none")
	switch r.Region.Wanted {
	case "":
		row("any region", observed)
	case r.Region.Observed:
		row("region "+observed, "registered")
	default:
		row("region "+string(r.Region.Wanted), "DIFFERS: "+observed)
	}
	for _, principal := range r.RegisteredServices {
		row("trusted access for "+string(principal), "enabled")
	}
	for _, principal := range r.MissingServices {
		row("trusted access for "+string(principal), "MISSING")
	}
	for _, a := range r.Registered {
		row(administers(string(a.AccountID), a.ServicePrincipal), "registered")
	}
	for _, a := range r.Missing {
		row(administers(string(a.AccountID), a.ServicePrincipal), "MISSING")
	}
	for _, a := range r.Inactive {
		row(administers(string(a.AccountID), a.ServicePrincipal), "ACCOUNT IS "+a.Status)
	}
	for _, u := range r.Unmatched {
		now := "NO SUCH ACCOUNT"
		if u.InvitedAccountID != "" {
			now = fmt.Sprintf("NO SUCH ACCOUNT, but %s, which was invited, has the name", u.InvitedAccountID)
		}
		row(administers(u.Selector, u.ServicePrincipal), now)
	}
	for _, a := range r.Unexpected {
		account := fmt.Sprintf("%s (%s)", a.AccountID, a.AccountName)
		row("nothing", "UNEXPECTED: "+administers(account, a.ServicePrincipal))
	}
	_ = t.Flush()
	for _, resolved := range r.Resolved {
		fmt.Fprintf(w, "%s is %s\n", resolved.Selector, resolved.AccountID)
	}
	fmt.Fprintf(w, "%s: accounts %d, missing %d, unexpected %d, requests sent %d\n",
		r.Outcome, r.Counts.Accounts, r.Absent(), r.Counts.Unexpected, r.RequestsSent)
}

func administers(account string, principal events.ServicePrincipal) string {
	return account + " administers " + string(principal)
}
