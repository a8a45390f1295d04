// Package register is what the functions that register something have in common: the rule that the
// cloud's state decides, and the bound of what events may ask for.
package register

import (
	"cmp"
	"context"
	"fmt"
	"net/http"

	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// Write makes true what r asks for, and fills r in. What a refusal means is decided by the state, since
// the codes for "already so" and "unknown" are published nowhere: look reads the state and sets r.Outcome
// if that explains the refusal. If it doesn't, a conflict is transient, and everything else is written
// once more, since the state may have changed between the two. The second such refusal rejects it: the
// message then says that Huawei Cloud refused to do what.
//
// With an error, r holds what is known so far.
func Write(
	ctx context.Context, r *events.Registration, what string,
	write func(context.Context) (client.Response, error),
	look func(context.Context) error,
) error {
	var refusal *client.APIError
	for range 2 {
		done, err := write(ctx)
		r.Attempts += done.Attempts
		r.RequestID = cmp.Or(done.RequestID, r.RequestID)
		if err == nil {
			r.Outcome = events.Registered
			return nil
		}
		if refusal = client.Refusal(err); refusal == nil {
			return err
		}
		if err := look(ctx); err != nil {
			return fmt.Errorf("%w, after %w", err, refusal)
		}
		switch {
		case r.Outcome == events.Rejected:
			r.Error = said(refusal)
			return nil
		case r.Outcome != "":
			return nil
		case refusal.Status == http.StatusConflict: // with something that isn't there any more
			return attempt.Transient.Errorf("%w", refusal)
		}
	}
	r.Outcome, r.Reason, r.Error = events.Rejected, events.Refused, said(refusal)
	r.Message = fmt.Sprintf("Huawei Cloud refused to %s: %s", what, refusal.Message)
	return nil
}

func said(e *client.APIError) *events.Error {
	return &events.Error{Status: e.Status, Code: e.Code, Message: e.Message, RequestID: e.RequestID}
}
