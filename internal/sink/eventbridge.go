package sink

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/smithy-go"
	"github.com/cloudevents/sdk-go/v2/event"

	"registrar/pkg/client"
)

const (
	busScheme     = "eventbridge://"
	maxEntry      = 256 << 10 // bytes; newer limits are higher, but not yet everywhere
	maxDetailType = 128       // characters
	maxSource     = 256       // characters
)

// bus is an EventBridge bus.
type bus struct {
	name        string // as errors show it
	bus         string // name or ARN
	credentials aws.CredentialsProvider
	client      *eventbridge.Client
}

func newBus(ctx context.Context, nameOrARN string, load func(context.Context) (aws.Config, error)) (Sink, error) {
	b := &bus{name: busScheme + nameOrARN, bus: nameOrARN}
	region, err := parseBus(nameOrARN)
	if err != nil {
		return nil, misconfigured("sink", "%w", err)
	}
	if load == nil {
		load = func(ctx context.Context) (aws.Config, error) { return config.LoadDefaultConfig(ctx) }
	}
	c, err := load(ctx)
	if err != nil {
		return nil, misconfigured(b.name, "AWS configuration: %w", err)
	}
	b.credentials = c.Credentials
	b.client = eventbridge.NewFromConfig(c, func(o *eventbridge.Options) {
		o.Retryer = aws.NopRetryer{} // deliver knows the deadline, and retries failed entries too
		if region != "" {
			o.Region = region
		}
	})
	options := b.client.Options()
	switch {
	case options.Region == "":
		return nil, misconfigured(b.name, "AWS_REGION is not set, and the bus is not given as an ARN, which has a region in it")
	case b.credentials == nil:
		return nil, misconfigured(b.name, "there are no AWS credentials")
	case options.BaseEndpoint != nil:
		if u, err := url.Parse(*options.BaseEndpoint); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return nil, misconfigured(b.name, "AWS_ENDPOINT_URL_EVENTBRIDGE or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566")
		}
	}
	return b.send, nil
}

func (b *bus) send(ctx context.Context, e event.Event) error {
	detail, err := e.MarshalJSON() // json.Marshal would escape it once more
	if err != nil {
		return unencodable(b.name, err)
	}
	if err := checkSource(e.Source()); err != nil {
		return misconfigured(b.name, "%w", err)
	}
	if length := utf8.RuneCountInString(e.Type()); length > maxDetailType {
		return misconfigured(b.name, "the type of the event has %d characters: EventBridge takes at most %d", length, maxDetailType)
	}
	if size := len(e.Source()) + len(e.Type()) + len(detail) + 14; size > maxEntry { // 14 is what EventBridge counts for the time
		return misconfigured(b.name, "the event has %d bytes: EventBridge takes at most %d", size, maxEntry)
	}
	entry := types.PutEventsRequestEntry{
		EventBusName: &b.bus,
		Source:       new(e.Source()),
		DetailType:   new(e.Type()),
		Detail:       new(string(detail)),
	}
	if t := e.Time(); !t.IsZero() {
		entry.Time = &t
	}
	return deliver(ctx, b.name, func(ctx context.Context) *failure { return b.put(ctx, entry) })
}

// checkSource says why EventBridge wouldn't take a source. It would drop a longer one, and report success.
func checkSource(source string) error {
	if length := utf8.RuneCountInString(source); length > maxSource {
		return fmt.Errorf("EVENT_SOURCE: has %d characters, but EventBridge takes at most %d", length, maxSource)
	}
	if strings.HasPrefix(source, "aws.") {
		return errors.New("EVENT_SOURCE: must not begin with aws., which EventBridge keeps for AWS itself")
	}
	return nil
}

// put makes one attempt.
func (b *bus) put(ctx context.Context, entry types.PutEventsRequestEntry) *failure {
	keys, err := b.credentials.Retrieve(ctx) // from the cache that the client uses, too
	if err != nil {
		f := failed(ctx, err, keys)
		f.err = fmt.Errorf("AWS credentials: %w", f.err)
		return f
	}
	out, err := b.client.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{entry}})
	if err != nil {
		return failed(ctx, err, keys)
	}
	var result types.PutEventsResultEntry
	if len(out.Entries) > 0 {
		result = out.Entries[0]
	}
	if out.FailedEntryCount == 0 && result.EventId != nil {
		return nil
	}
	return refused(aws.ToString(result.ErrorCode), aws.ToString(result.ErrorMessage), 0, "", keys)
}

// failed tells what an error of the AWS SDK means: of EventBridge, or of whoever gives credentials.
func failed(ctx context.Context, err error, keys aws.Credentials) *failure {
	status, requestID := 0, ""
	if answer, ok := errors.AsType[*awshttp.ResponseError](err); ok && answer.Response != nil && answer.Response.Response != nil {
		status, requestID = answer.HTTPStatusCode(), answer.ServiceRequestID()
	}
	if said, ok := errors.AsType[smithy.APIError](err); ok {
		return refused(said.ErrorCode(), said.ErrorMessage(), status, requestID, keys)
	}
	if status != 0 {
		return refused("", "the answer can't be read", status, requestID, keys)
	}
	return unanswered(ctx, err)
}

// refused is an answer that says no.
func refused(code, message string, status int, requestID string, keys aws.Credentials) *failure {
	f := &failure{answered: true}
	f.kind, f.again = kindOfCode(code, status)
	var text []string
	if status != 0 {
		text = append(text, fmt.Sprintf("status %d", status))
	}
	for _, said := range []string{code, message} {
		// The lines that follow the first may be the request, as signed. UnknownError is what the SDK puts where nothing was said.
		if said = firstLine(redact(said, keys)); said != "" && said != "UnknownError" {
			text = append(text, said)
		}
	}
	if text == nil {
		text = []string{"the event was not taken, and no reason given"}
	}
	if requestID != "" {
		text = append(text, "(request "+clean(requestID, 100)+")")
	}
	f.err = errors.New(strings.Join(text, " "))
	return f
}

// kindOfCode is what an error code of AWS means, of the call or of an entry, and whether another attempt may help now.
// Source: the common errors of AWS APIs and the EventBridge API reference.
func kindOfCode(code string, status int) (kind error, again bool) {
	switch strings.TrimSuffix(code, "Exception") {
	case "Internal", "InternalFailure", "InternalError", "ServiceUnavailable", "Throttling", "TooManyRequests", "RequestTimeout":
		return client.ErrTransient, true
	case "ExpiredToken", "RequestExpired", "RequestTimeTooSkewed":
		// A role's credentials are issued anew all the time: a later delivery will have such, this process may not.
		return client.ErrTransient, false
	case "AccessDenied", "NotAuthorized", "NotAuthorizedForSource", "NotAuthorizedForDetailType", "UnauthorizedOperation", "OptInRequired",
		"InvalidAccountId", "OperationDisabled", "ResourceNotFound", "UnknownOperation",
		"MalformedDetail", "InvalidArgument", "Validation", "ValidationError", "Serialization", "MalformedHttpRequest", "RequestEntityTooLarge",
		"UnrecognizedClient", "InvalidClientTokenId", "InvalidToken", "InvalidSignature", "SignatureDoesNotMatch", "IncompleteSignature",
		"MissingAuthenticationToken":
		return client.ErrMisconfigured, false
	}
	if status == 400 { // AWS answers nearly everything with it, so it means nothing by itself
		return client.ErrTransient, false
	}
	return kindOfStatus(status)
}

// redact removes what signs requests from s, should a server have quoted it.
func redact(s string, keys aws.Credentials) string {
	for _, secret := range []string{keys.AccessKeyID, keys.SecretAccessKey, keys.SessionToken} {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, redacted)
		}
	}
	return s
}
