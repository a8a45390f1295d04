// Package awsapi configures all clients of AWS, and says which kind of failure an error of theirs
// is.
package awsapi

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"registrar/pkg/attempt"
	"registrar/pkg/wire"
)

const (
	maxText = 500     // bytes of a text of the AWS SDK that are shown
	maxBody = 1 << 20 // bytes of an answer that are read
)

// Load finds the configuration of AWS, as [config.LoadDefaultConfig] does.
type Load func(context.Context, ...func(*config.LoadOptions) error) (aws.Config, error)

// Config is the configuration of AWS for clients in a region, found by load. The empty region is
// the one that load finds, a nil load is [config.LoadDefaultConfig]. It calls nothing.
//
// Its clients make one attempt, since [attempt.Do] makes the others, and log through slog. Every
// error of Config is misconfigured, and names what to set.
func Config(ctx context.Context, load Load, region string) (aws.Config, error) {
	if load == nil {
		load = config.LoadDefaultConfig
	}
	c, err := load(ctx,
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(
			wire.ReportProxy, func(t *http.Transport) { t.MaxResponseHeaderBytes = wire.MaxHeader })),
		config.WithAPIOptions([]func(*middleware.Stack) error{boundAnswers}),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithLogger(sdkLog{context.WithoutCancel(ctx)}),
		// Credentials are asked for in the region of the environment, if it has one.
		config.WithDefaultRegion(region),
	)
	if err != nil {
		return aws.Config{}, attempt.Misconfigured.Errorf("AWS configuration: %s", withoutValues(err))
	}
	if region != "" {
		c.Region = region
	}
	switch {
	case c.Region == "":
		return aws.Config{}, attempt.Misconfigured.Errorf(
			"no AWS region is known: set AWS_REGION, or give an ARN, which has a region in it")
	case !regexp.MustCompile(`^[a-z0-9-]{1,63}$`).MatchString(c.Region):
		return aws.Config{}, attempt.Misconfigured.Errorf("AWS_REGION: must be a region such as eu-central-1")
	}
	c.Credentials = provider{c.Credentials}
	return c, nil
}

// withoutValues is what the SDK says about its configuration. It quotes variables, of which an
// address or a token may be secret: no value that is long enough for that is shown.
func withoutValues(err error) string {
	const least = 16
	var values []string
	for _, variable := range os.Environ() {
		name, value, _ := strings.Cut(variable, "=")
		if strings.HasPrefix(name, "AWS_") && len(value) >= least {
			values = append(values, value)
		}
	}
	return wire.NewSecrets(values...).Clean(err.Error(), maxText)
}

// boundAnswers keeps a client from reading more than maxBody of an answer: it would decode an
// endless one in memory.
func boundAnswers(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("BoundAnswer", func(
		ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler,
	) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if answer, ok := out.RawResponse.(*smithyhttp.Response); ok && answer.Body != nil {
			answer.Body = http.MaxBytesReader(nil, answer.Body, maxBody)
		}
		return out, metadata, err
	}), middleware.After)
}

// CheckEndpoint checks the endpoint that a client took from the environment, nil if it took none.
// The service is named as in the variable AWS_ENDPOINT_URL_<service>. The SDK doesn't check it:
// each call would fail with an error that doesn't name the variable.
func CheckEndpoint(service string, endpoint *string) error {
	if endpoint == nil {
		return nil
	}
	u, err := url.Parse(*endpoint)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" {
		return attempt.Misconfigured.Errorf(
			"AWS_ENDPOINT_URL_%s or AWS_ENDPOINT_URL: must be a URL such as http://localhost:4566", service)
	}
	return nil
}

// provider marks errors as being about credentials.
type provider struct{ aws.CredentialsProvider }

func (p provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	return c, nil
}

// credentialsError is a failure to find AWS credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "AWS credentials: " + e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }

// sdkLog writes the lines of the AWS SDK to slog, without their arguments: they quote what an
// endpoint sent, and it may have sent the session token.
type sdkLog struct{ ctx context.Context }

// WithContext is called by the SDK with the context of each call.
func (sdkLog) WithContext(ctx context.Context) logging.Logger { return sdkLog{ctx} }

func (l sdkLog) Logf(class logging.Classification, format string, _ ...any) {
	level := slog.LevelDebug
	if class == logging.Warn {
		level = slog.LevelWarn
	}
	slog.Log(l.ctx, level, "AWS SDK", "text", format)
}
