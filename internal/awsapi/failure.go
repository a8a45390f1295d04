package awsapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/google/uuid"

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

// refused is the failure of an attempt with an answer that isn't a success, or can't be read.
func refused(resp *http.Response, body []byte, decode decoder) *attempt.Failure {
	var e struct {
		Code string `json:"__type" xml:"Error>Code"`
		Else string `json:"code" xml:"-"`
	}
	_ = decode(body, &e) // what isn't an error of AWS has no code
	code, _, _ := strings.Cut(cmp.Or(resp.Header.Get("X-Amzn-Errortype"), e.Code, e.Else), ":")
	if _, name, ok := strings.Cut(code, "#"); ok {
		code = name
	}
	f := Refusal(resp.StatusCode, code, resp.Header.Get("X-Amzn-Requestid"))
	f.RetryAfter = attempt.RetryAfter(resp.Header)
	return f
}

// noCredentials makes a failure of err, of an attempt in ctx for which there are no credentials.
// There is no [*APIError] in it: the service hasn't refused anything.
func noCredentials(ctx context.Context, err error) *attempt.Failure {
	f, ok := errors.AsType[*attempt.Failure](err)
	if !ok { // the end of ctx keeps us from waiting for them
		f = wire.Unanswered(ctx, err, wire.Secrets{})
	}
	without := *f
	without.Err = errors.New("AWS credentials: " + f.Error())
	return &without
}

// Refusal is the failure of an attempt that AWS answered with an error. Status 0 means that it is
// the error of an entry in a call that succeeded. A code or request id that doesn't look like one
// is left out: hexadecimal digits alone may be an access key, which something else has quoted.
func Refusal(status int, code, requestID string) *attempt.Failure {
	const longest, dashed = 64, 36
	if len(code) > longest || !regexp.MustCompile(`^[A-Za-z]+$`).MatchString(code) {
		code = ""
	}
	if len(requestID) != dashed || uuid.Validate(requestID) != nil {
		requestID = ""
	}
	return &attempt.Failure{
		Kind:     kindOf(status, code),
		Err:      &APIError{Status: status, Code: code, RequestID: requestID},
		Answered: true,
	}
}

// kindOf is the kind of failure that a status and an error code of AWS mean. The codes are those
// that any API of AWS may answer with, and those of GetSecretValue, GetWebIdentityToken,
// AssumeRoleWithWebIdentity and PutEvents, including its entries.
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
		"OutboundWebIdentityFederationDisabled", "JWTPayloadSizeExceeded", "SessionDurationEscalation",
		"InvalidIdentityToken", "IDPRejectedClaim", "RegionDisabled":
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
