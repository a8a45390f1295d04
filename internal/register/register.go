// Package register is what the functions have in common: the rule that the state of the cloud
// decides what a refusal means, and the bounds of what events may ask for.
package register

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"

	"registrar/pkg/attempt"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

// Write calls write and fills in r with what became of it. The state of the cloud decides what a
// refusal means, since Huawei Cloud doesn't publish its codes for "already registered" and
// "unknown": look reads the state, and sets r.Outcome if that explains the refusal. If it doesn't,
// a conflict is transient, and so is a success with an error in it. After any other refusal write
// is called once more, since the state may have changed in between. The second such refusal rejects
// r, with the message that Huawei Cloud refused to do what.
//
// With an error, r holds what is known so far. The error says what was tried.
func Write(
	ctx context.Context, r *events.Registration, what string,
	write func(context.Context) (client.Sent, error),
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
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := look(ctx); err != nil {
			return fmt.Errorf("%s: %w, after %w", what, err, refusal)
		}
		switch {
		case r.Outcome == events.Rejected:
			r.Error = asError(refusal)
			return nil
		case r.Outcome != "":
			return nil
		case refusal.Status == http.StatusConflict, // with something that is gone by now
			refusal.Status < http.StatusBadRequest: // the answer contradicts itself
			return attempt.Transient.Errorf("%s: %w", what, refusal)
		}
	}
	r.Outcome, r.Reason, r.Error = events.Rejected, events.Refused, asError(refusal)
	answer := fmt.Sprintf("status %d %s %s", refusal.Status, refusal.Code, refusal.Message)
	r.Message = fmt.Sprintf("Huawei Cloud refused to %s: %s", what, strings.TrimSpace(answer))
	return nil
}

// asError is the refusal as a result shows it.
func asError(e *client.APIError) *events.Error {
	return &events.Error{Status: e.Status, Code: e.Code, Message: e.Message, RequestID: e.RequestID}
}
