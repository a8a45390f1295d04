package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// APIError is an error that AWS answered with. Its text doesn't hold AWS's message, which may quote
// the request, whose signature and token are secrets. An answer of something else may hold
// anything.
type APIError struct {
	Status    int    // the HTTP status; 0 for an entry of a call that succeeded
	Code      string // AWS's name for the error, such as AccessDeniedException; empty if there is none
	RequestID string // empty if there is none
}

func (e *APIError) Error() string {
	var words []string
	if e.Status != 0 {
		words = append(words, fmt.Sprintf("status %d", e.Status))
	}
	switch {
	case e.Code != "":
		words = append(words, e.Code)
	case e.Status/100 == 2:
		words = append(words, "and the answer can't be read")
	case e.Status == 0:
		words = append(words, "AWS says no, and doesn't say why")
	}
	if e.RequestID != "" {
		words = append(words, "(request "+e.RequestID+")")
	}
	return strings.Join(words, " ")
}

// retryable is an error that the SDK would try again: it blames our clock for a refusal, and signs
// the next attempt by the clock of AWS.
type retryable interface {
	error
	RetryableError() bool
}

// Failure makes a failure of err, the error of a client of AWS in an attempt that ran in ctx. If
// AWS answered, there is an [*APIError] in it, except if it was the credentials that couldn't be
// found.
func Failure(ctx context.Context, err error) *attempt.Failure {
	if inner, ok := errors.AsType[*credentialsError](err); ok {
		f := Failure(ctx, inner.err)
		f.Err = errors.New("AWS credentials: " + f.Err.Error())
		return f
	}
	var status int
	var requestID string
	var header http.Header
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.ResponseError != nil {
		status, requestID, header = answer.HTTPStatusCode(), answer.ServiceRequestID(), answer.Response.Header
	}
	refusal, refused := errors.AsType[smithy.APIError](err)
	if refused || status != 0 && ctx.Err() == nil {
		code := ""
		if refused {
			code = refusal.ErrorCode()
		}
		f := Refusal(status, code, requestID)
		if clock, ok := errors.AsType[retryable](err); ok && clock.RetryableError() {
			f.Kind = attempt.Transient
		}
		f.RetryAfter = attempt.RetryAfter(header)
		return f
	}
	_, sent := errors.AsType[*smithyhttp.RequestSendError](err)
	_, received := errors.AsType[*smithy.DeserializationError](err)
	if sent || received || ctx.Err() != nil {
		return wire.Unanswered(ctx, err, wire.Secrets{})
	}
	// Nothing was called: what the SDK says is about the configuration.
	return &attempt.Failure{Kind: attempt.KindOf(err), Err: errors.New(withoutValues(err))}
}

// Refusal is the failure of an attempt that AWS answered with an error. Status 0 means that it is
// the error of an entry in a call that succeeded. A code or request id that doesn't look like one
// is left out: hexadecimal digits alone may be an access key, which something else has quoted.
func Refusal(status int, code, requestID string) *attempt.Failure {
	if code == "UnknownError" || !regexp.MustCompile(`^[A-Za-z]{1,64}$`).MatchString(code) {
		code = "" // the SDK says UnknownError if there was no code
	}
	if !regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`).MatchString(requestID) {
		requestID = ""
	}
	return &attempt.Failure{
		Kind:     kindOf(status, code),
		Err:      &APIError{Status: status, Code: code, RequestID: requestID},
		Answered: true,
	}
}

// kindOf is the kind of failure that a status and an error code of AWS mean. The codes are those
// that any API of AWS may answer with, and those of GetSecretValue, GetWebIdentityToken and
// PutEvents, including its entries.
func kindOf(status int, code string) attempt.Kind {
	switch strings.TrimSuffix(code, "Exception") {
	case "Internal", "InternalFailure", "InternalError", "InternalService", "InternalServiceError",
		"ServiceUnavailable", "RequestTimeout",
		"Throttling", "Throttled", "ThrottledRequest", "TooManyRequests", "RequestThrottled", "RequestLimitExceeded",
		// The credentials of a role are renewed all the time.
		"ExpiredToken", "RequestExpired", "RequestTimeTooSkewed":
		return attempt.Transient
	case "AccessDenied", "NotAuthorized", "NotAuthorizedForSource", "NotAuthorizedForDetailType",
		"UnauthorizedOperation", "OptInRequired", "InvalidAccountId", "OperationDisabled",
		"ResourceNotFound", "UnknownOperation", "DecryptionFailure",
		"InvalidRequest", "InvalidParameter", "InvalidArgument", "Validation", "ValidationError",
		"MalformedDetail", "MalformedHttpRequest", "Serialization", "RequestEntityTooLarge",
		"UnrecognizedClient", "InvalidClientTokenId", "InvalidToken", "MissingAuthenticationToken",
		"InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature",
		"OutboundWebIdentityFederationDisabled", "JWTPayloadSizeExceeded", "SessionDurationEscalation":
		return attempt.Misconfigured
	}
	switch {
	case status == http.StatusBadRequest: // AWS uses it for nearly everything
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
	case status/100 == 3, status/100 == 4: // most likely not answered by AWS
		return attempt.Misconfigured
	}
	return attempt.Transient
}
