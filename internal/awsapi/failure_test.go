package awsapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
	"registrar/internal/awstest"
	"registrar/pkg/attempt"
)

func TestEachCodeOfAWSHasItsKind(t *testing.T) {
	t.Parallel()
	for kind, codes := range map[attempt.Kind]string{
		attempt.Transient: "Internal InternalFailure InternalException InternalError InternalServiceError " +
			"InternalServiceErrorException ServiceUnavailable ServiceUnavailableException RequestTimeout " +
			"Throttling ThrottlingException TooManyRequestsException " +
			"ExpiredToken ExpiredTokenException RequestExpired RequestTimeTooSkewed",
		attempt.Misconfigured: "AccessDenied AccessDeniedException NotAuthorized NotAuthorizedForSourceException " +
			"NotAuthorizedForDetailTypeException UnauthorizedOperation OptInRequired InvalidAccountIdException " +
			"OperationDisabledException ResourceNotFoundException UnknownOperationException DecryptionFailure " +
			"InvalidRequestException InvalidParameterException InvalidArgument ValidationException ValidationError " +
			"MalformedDetail MalformedHttpRequestException SerializationException RequestEntityTooLargeException " +
			"UnrecognizedClientException InvalidClientTokenId InvalidToken MissingAuthenticationTokenException " +
			"InvalidSignatureException SignatureDoesNotMatch IncompleteSignatureException " +
			"InvalidIdentityToken IDPRejectedClaim RegionDisabledException",
	} {
		for code := range strings.FieldsSeq(codes) {
			for _, status := range []int{0, 400, 403} {
				assert.Equal(t, kind, attempt.KindOf(awsapi.Refusal(status, code, "")), "%d %s", status, code)
			}
		}
	}
}

func TestWithoutAKnownCodeTheStatusDecides(t *testing.T) {
	t.Parallel()
	for kind, statuses := range map[attempt.Kind][]int{
		attempt.Transient:     {0, 200, 400, 408, 429, 500, 501, 502, 503, 504},
		attempt.Misconfigured: {301, 302, 401, 403, 404, 405, 413, 415},
	} {
		for _, status := range statuses {
			for _, code := range []string{"", "NewException", "UnknownError"} {
				assert.Equal(t, kind, attempt.KindOf(awsapi.Refusal(status, code, "")), "%d %s", status, code)
			}
		}
	}
}

func TestARefusalShowsOnlyTextsThatLookLikeCodesAndIDs(t *testing.T) {
	t.Parallel()
	const id, token = awstest.RequestID, awstest.SessionToken
	a64, digits := strings.Repeat("a", 64), hex.EncodeToString([]byte(awstest.AccessKey))
	for want, f := range map[string]*attempt.Failure{
		"status 400 AccessDeniedException (request " + id + ")": awsapi.Refusal(400, "AccessDeniedException", id),
		"MalformedDetail":                         awsapi.Refusal(0, "MalformedDetail", ""),
		"AWS says no, and doesn't say why":        awsapi.Refusal(0, "", ""),
		"status 200 and the answer can't be read": awsapi.Refusal(200, "", ""),
		"status 503":                              awsapi.Refusal(503, "", ""),
		"status 401 (request " + id + ")":         awsapi.Refusal(401, "a text", id),
		"status 402":                              awsapi.Refusal(402, token, token),
		"status 403":                              awsapi.Refusal(403, a64+"a", id+"a"),
		"status 404 " + a64:                       awsapi.Refusal(404, a64, "a\nb"),
		"status 405":                              awsapi.Refusal(405, "a\nb", digits),
		"status 406":                              awsapi.Refusal(406, "", digits[:32]),
		"status 407":                              awsapi.Refusal(407, "", strings.Repeat("g", 36)),
	} {
		require.EqualError(t, f, want)
		assert.True(t, f.Answered)
		assert.False(t, f.Throttled)
	}
}

// client is a client of Secrets Manager; change may change its configuration, or be nil.
func client(t *testing.T, h http.Handler, change func(*awsapi.Config)) *awsapi.Client {
	t.Helper()
	c := awstest.Config(h)
	if change != nil {
		change(&c)
	}
	api, err := awsapi.New(c, awsapi.SecretsManager, "")
	require.NoError(t, err)
	return api
}

// read reads the secret "a".
func read(ctx context.Context, api *awsapi.Client) (value string, _ *attempt.Failure) {
	var out struct{ SecretString string }
	f := api.JSON(ctx, "secretsmanager.GetSecretValue",
		map[string]string{"SecretId": "a", "VersionStage": "AWSCURRENT"}, &out)
	return out.SecretString, f
}

// failure is the failure of a read of a secret.
func failure(ctx context.Context, t *testing.T, api *awsapi.Client) *attempt.Failure {
	t.Helper()
	_, f := read(ctx, api)
	require.NotNil(t, f)
	for _, secret := range []string{awstest.AccessKey, awstest.SecretKey, awstest.SessionToken} {
		assert.NotContains(t, f.Error(), secret)
	}
	return f
}

func TestAnAnswerOfAWSIsRead(t *testing.T) {
	t.Parallel()
	const request = " (request " + awstest.RequestID + ")"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   attempt.Kind
		text   string
		code   string
	}{
		"a refusal": {
			awstest.Refuse(400, "AccessDeniedException"), attempt.Misconfigured,
			"status 400 AccessDeniedException" + request, "AccessDeniedException",
		},
		"an error inside": {
			awstest.Refuse(500, "InternalServiceError"), attempt.Transient,
			"status 500 InternalServiceError" + request, "InternalServiceError",
		},
		"a page": {awstest.Garbage(403, "<html>"), attempt.Misconfigured, "status 403", ""},
		"a page with success": {
			awstest.Garbage(200, "<html>"), attempt.Transient, "status 200 and the answer can't be read", "",
		},
		"an answer that breaks off":       {breakOff, attempt.Transient, "status 200 and the answer can't be read", ""},
		"the token, wherever it has room": {awstest.Echo, attempt.Transient, "status 400", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			vault := new(awstest.SecretsManager)
			vault.Script(c.answer)
			f := failure(t.Context(), t, client(t, vault, nil))
			require.EqualError(t, f, c.text)
			assert.Equal(t, c.kind, attempt.KindOf(f))
			assert.True(t, f.Answered)
			refusal, ok := errors.AsType[*awsapi.APIError](f)
			require.True(t, ok)
			assert.Equal(t, c.code, refusal.Code)
			assert.Len(t, vault.Reads(), 1, "one attempt")
		})
	}
}

func breakOff(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(`{"SecretString":"`))
	panic(http.ErrAbortHandler)
}

func TestNoAnswerIsTransientUnlessAnOperatorMustAct(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		kind attempt.Kind
		want string
	}{
		"a certificate that is not trusted": {
			&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}, attempt.Misconfigured,
			"tls: failed to verify certificate",
		},
		"a proxy that wants a password": {
			attempt.Misconfigured.Errorf("the proxy says no"), attempt.Misconfigured, "the proxy says no",
		},
		"a connection that is lost": {syscall.ECONNRESET, attempt.Transient, "connection reset by peer"},
		"an answer that isn't HTTP": {
			errors.New("malformed: " + awstest.SessionToken), attempt.Transient, "malformed HTTP [redacted]",
		},
		"a text without end": {attempt.Transient.Errorf("%s", strings.Repeat("x\n", 1000)), attempt.Transient, "x x x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := failure(t.Context(), t, client(t, nil, func(a *awsapi.Config) { a.Transport = fails{c.err} }))
			assert.Equal(t, c.kind, attempt.KindOf(f))
			require.ErrorContains(t, f, c.want)
			assert.False(t, f.Answered)
			assert.LessOrEqual(t, len(f.Error()), 1024)
			assert.NotContains(t, f.Error(), "\n")
		})
	}
}

// An endpoint sees the session token, and net/http quotes a header that it can't read.
func TestATokenThatAnEndpointEchoesIsNotShown(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		assert.NoError(t, err)
		defer conn.Close()
		token := r.Header.Get("X-Amz-Security-Token")
		assert.Equal(t, awstest.SessionToken, token)
		_, err = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nbad %s\r\n\r\n", token)
		assert.NoError(t, err)
	}))
	t.Cleanup(server.Close)
	f := failure(t.Context(), t, client(t, nil, func(c *awsapi.Config) {
		c.Transport, c.Endpoint = nil, server.URL
	}))
	require.EqualError(t, f, "malformed HTTP [redacted]")
}

type fails struct{ err error }

func (f fails) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestATimeoutSaysHowLongItWas(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"without an answer": awstest.Silence,
		"in the middle of an answer": func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte(`{"SecretString":"`))
			awstest.Silence(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				vault := new(awstest.SecretsManager)
				vault.Script(answer)
				ctx, cancel := attempt.Timeout(t.Context(), 3*time.Second)
				defer cancel()
				f := failure(ctx, t, client(t, vault, nil))
				require.EqualError(t, f, "no answer within 3s: context deadline exceeded")
				assert.Equal(t, attempt.Transient, attempt.KindOf(f))
				assert.False(t, f.Answered)
			})
		})
	}
}

// stalls answers, and then sends nothing more.
type stalls struct{ status int }

func (s stalls) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: s.status, Body: stalled{r.Context()}}, nil
}

type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func (stalled) Close() error { return nil }

func TestAnAnswerThatStallsIsNoAnswer(t *testing.T) {
	t.Parallel()
	for _, status := range []int{200, 403} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := attempt.Timeout(t.Context(), 3*time.Second)
			defer cancel()
			f := failure(ctx, t, client(t, nil, func(c *awsapi.Config) { c.Transport = stalls{status} }))
			require.EqualError(t, f, "no answer within 3s: context deadline exceeded")
			assert.Equal(t, attempt.Transient, attempt.KindOf(f))
			assert.False(t, f.Answered)
		})
	}
}

func TestAFailureToGetCredentialsSaysSo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		kind   attempt.Kind
		want   string
	}{
		"their endpoint's answer isn't theirs": {
			awstest.Garbage(200, awstest.SessionToken), attempt.Transient,
			"AWS credentials: status 200 and the answer can't be read",
		},
		"their endpoint's answer breaks off": {
			breakOff, attempt.Transient, "AWS credentials: status 200 and the answer can't be read",
		},
		"there are none in it": {
			awstest.Garbage(200, `{"AccessKeyId":"`+awstest.AccessKey+`"}`), attempt.Transient,
			"AWS credentials: the answer holds none",
		},
		"half of them is in it": {
			awstest.Garbage(200, `{"SecretAccessKey":"`+awstest.SecretKey+`"}`), attempt.Transient,
			"AWS credentials: the answer holds none",
		},
		"nobody answers": {awstest.Abort, attempt.Transient, "AWS credentials: EOF"},
		"nobody answers in time": {
			awstest.Silence, attempt.Transient, "AWS credentials: no answer within 5s: context deadline exceeded",
		},
		"they are refused": {
			awstest.Garbage(403, `{"code":"AccessDenied","message":"`+awstest.SessionToken+`"}`), attempt.Misconfigured,
			"AWS credentials: status 403 AccessDenied",
		},
		"they aren't there yet": {awstest.Garbage(503, ""), attempt.Transient, "AWS credentials: status 503"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				f := failure(t.Context(), t, client(t, c.answer, func(config *awsapi.Config) {
					config.AccessKey, config.SecretKey, config.ContainerPath = "", "", "/"
				}))
				require.EqualError(t, f, c.want)
				assert.Equal(t, c.kind, attempt.KindOf(f))
				_, ok := errors.AsType[*awsapi.APIError](f)
				assert.False(t, ok, "it wasn't the service that refused")
			})
		})
	}
}

func TestWhoeverCannotWaitForCredentialsSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := attempt.Timeout(t.Context(), time.Second)
		defer cancel()
		f := failure(ctx, t, client(t, http.HandlerFunc(awstest.Silence), func(config *awsapi.Config) {
			config.AccessKey, config.SecretKey, config.ContainerPath = "", "", "/"
		}))
		require.EqualError(t, f, "AWS credentials: no answer within 1s: context deadline exceeded")
		time.Sleep(time.Minute) // until those who could wait have given up, too
	})
}

// AWS names an error in a header or in the body, by its name alone or with more around it.
func TestTheCodeOfAnErrorIsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	for body, header := range map[string]string{
		`{"__type":"DecryptionFailure"}`:                                "",
		`{"__type":"com.amazonaws.secretsmanager#DecryptionFailure"}`:   "",
		`{"__type":"DecryptionFailure:http://internal.amazon.com/a/b"}`: "",
		`{"code":"DecryptionFailure","__type":null}`:                    "",
		`{}`:                              "DecryptionFailure",
		`<html>`:                          "DecryptionFailure:http://internal.amazon.com/",
		`{"__type":"ValidationError"}`:    "a.b#DecryptionFailure:c#d",
		`{"__type":"DecryptionFailure"`:   "DecryptionFailure", // cut off
		`{"Code":"DecryptionFailure"}`:    "",
		`{"__type":"DecryptionFailure"}}`: "DecryptionFailure",
	} {
		f := failure(t.Context(), t, client(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Amzn-Errortype", header)
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(body))
		}), nil))
		require.EqualError(t, f, "status 400 DecryptionFailure", body)
	}
}

func TestRetryAfterOfARefusalIsKept(t *testing.T) {
	t.Parallel()
	f := failure(t.Context(), t, client(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", "7")
		awstest.Refuse(400, "ThrottlingException")(w, r)
	}), nil))
	assert.Equal(t, 7*time.Second, f.RetryAfter)
}
