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

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

// APIError is an answer of AWS that says no. Its text has no message in it: a message may quote the
// request, whose signature and token are secrets, and an answer of somebody else may hold anything.
type APIError struct {
	Status    int    // of the HTTP answer; 0 for a part of one that succeeded
	Code      string // as AWS names it, such as AccessDeniedException; empty if there is none
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

// Failure tells what err means, the error of a client of AWS in an attempt that ran in ctx. If AWS
// answered, there is an [*APIError] in it, except where the credentials are what failed.
func Failure(ctx context.Context, err error) *attempt.Failure {
	if inner, ok := errors.AsType[*credentialsError](err); ok {
		f := Failure(ctx, inner.err)
		f.Err = errors.New("AWS credentials: " + f.Err.Error())
		return f
	}
	var status int
	var requestID string
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.ResponseError != nil {
		status, requestID = answer.HTTPStatusCode(), answer.ServiceRequestID()
	}
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		return Refusal(status, said.ErrorCode(), requestID)
	}
	if status != 0 && ctx.Err() == nil {
		return Refusal(status, "", requestID)
	}
	return wire.Unanswered(ctx, err)
}

// Refusal is the failure of an attempt that was answered with an error: of the whole call, or with
// status 0 of an entry in it. A code or request id that doesn't look like one is left out.
func Refusal(status int, code, requestID string) *attempt.Failure {
	if code == "UnknownError" || !regexp.MustCompile(`^[A-Za-z]{1,64}$`).MatchString(code) {
		code = "" // the SDK says UnknownError where nothing was said
	}
	if !regexp.MustCompile(`^[0-9a-f-]{1,40}$`).MatchString(requestID) {
		requestID = ""
	}
	return &attempt.Failure{
		Kind:     kindOf(status, code),
		Err:      &APIError{Status: status, Code: code, RequestID: requestID},
		Answered: true,
	}
}

// kindOf is what a status and an error code of AWS mean. The codes are those that any API of AWS
// may answer with, and those of GetSecretValue and of PutEvents, its entries included.
func kindOf(status int, code string) attempt.Kind {
	switch strings.TrimSuffix(code, "Exception") {
	case "Internal", "InternalFailure", "InternalError", "InternalService", "InternalServiceError",
		"ServiceUnavailable", "RequestTimeout",
		"Throttling", "Throttled", "ThrottledRequest", "TooManyRequests", "RequestThrottled", "RequestLimitExceeded",
		// A role's credentials are renewed all the time.
		"ExpiredToken", "RequestExpired", "RequestTimeTooSkewed":
		return attempt.Transient
	case "AccessDenied", "NotAuthorized", "NotAuthorizedForSource", "NotAuthorizedForDetailType",
		"UnauthorizedOperation", "OptInRequired", "InvalidAccountId", "OperationDisabled",
		"ResourceNotFound", "UnknownOperation", "DecryptionFailure",
		"InvalidRequest", "InvalidParameter", "InvalidArgument", "Validation", "ValidationError",
		"MalformedDetail", "MalformedHttpRequest", "Serialization", "RequestEntityTooLarge",
		"UnrecognizedClient", "InvalidClientTokenId", "InvalidToken", "MissingAuthenticationToken",
		"InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature":
		return attempt.Misconfigured
	}
	switch {
	case status == http.StatusBadRequest: // AWS answers nearly everything with it
	case status == http.StatusRequestTimeout, status == http.StatusTooManyRequests:
	case status/100 == 3, status/100 == 4: // most likely somebody else than AWS
		return attempt.Misconfigured
	}
	return attempt.Transient
}
