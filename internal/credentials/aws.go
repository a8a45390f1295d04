package credentials

import (
	"context"
	"errors"
	"fmt"
	"time"

	"registrar/internal/awsapi"
	"registrar/pkg/attempt"
)

const (
	attempts     = 3 // to make one call of AWS
	attemptLimit = 5 * time.Second
)

// ask calls AWS, again if it fails and may not the next time.
func ask[T any](ctx context.Context, call func(context.Context) (T, *attempt.Failure)) (answer T, err error) {
	err = attempt.Do(ctx, attempts, func(ctx context.Context) (f *attempt.Failure) {
		ctx, cancel := attempt.Timeout(ctx, attemptLimit)
		defer cancel()
		answer, f = call(ctx)
		return f
	})
	return answer, err
}

// withRemedy begins f, if an operator must act, with what the operator can do about the code that
// AWS answered with, which may be empty.
func withRemedy(f *attempt.Failure, remedy func(code string) string) *attempt.Failure {
	if f != nil && f.Kind == attempt.Misconfigured {
		code := ""
		if refusal, ok := errors.AsType[*awsapi.APIError](f); ok {
			code = refusal.Code
		}
		f.Err = fmt.Errorf("%s: %w", remedy(code), f.Err)
	}
	return f
}
