package client

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/attempt"
)

func TestTheTableOfKinds(t *testing.T) {
	t.Parallel()
	table := map[attempt.Kind]string{
		attempt.Transient: `408 429 500 501 502 503 504 599
			409+IIC.1006 409+IIC.1007 409+IdentityCenter.1006 409+Organizations.1003
			400+Organizations.1004 400+Organizations.1006
			400+IIC.1219 403+IIC.1219 403+IdentityCenter.1219 404+IIC.1219 409+IIC.1219
			429+APIGW.0308 502+APIGW.0201 504+APIGW.0201
			400 409 422 402 406 410 415 418 451 494 410+X.1 415+X.1 418+X.1 494+APIGW.0201
			400+400 400+BadRequest 409+X 409+conflict 422+.1 400+1.1 400+IIC. 400+IIC.1216x 400+a.b.1 400+IIC-1.1
			409+x/IIC.1216 409+IIC.1216\n 200+1216 200+X 200+IIC.1219`,
		attempt.Misconfigured: `301 302 307 308 304+X.1
			401 401+APIGW.0301 401+Organizations.1001 401+IIC.1219
			403 403+IIC.1000 403+Organizations.1007 403+APIGW.0302
			404 404+404 404+NotFound 404+no.route 404+APIGW.0101 404+APIGW.0103 404+Organizations.1010
			405 405+X.1 407 413 414 413+APIGW.0201
			400+IIC.1215 400+IIC.1263 400+IdentityCenter.1215
			400+Organizations.1005 400+Organizations.1008 400+Organizations.1009 400+Organizations.1011
			400+Organizations.1012 400+Organizations.1305`,
		attempt.Refused: `400+IIC.400 404+IIC.400 404+IIC.404 404+IIC.1254 409+IIC.1216 409+IIC.1257 409+IIC.1210
			400+APIGW.0201 400+Organizations.1500 400+Organizations.1900 422+X.1 400+PAP5.0012
			409+Organizations.1004 404+Organizations.1003 400+Organizations.1003 404+IIC.1006 422+IIC.1006
			409+IIC.1215 400+Organizations.1010 409+APIGW.0101 200+IIC.1216 201+Organizations.9901`,
	}
	for kind, answers := range table {
		for answer := range strings.FieldsSeq(answers) {
			var status int
			number, code, _ := strings.Cut(answer, "+")
			_, err := fmt.Sscan(number, &status)
			require.NoError(t, err)
			code = strings.ReplaceAll(code, `\n`, "\n")
			assert.Equal(t, kind, kindOf(http.MethodPost, status, code), answer)
			read := kind
			if status/100 == 2 {
				read = attempt.Transient
			}
			assert.Equal(t, read, kindOf(http.MethodGet, status, code), answer)
		}
	}
}

func TestOnlyTheOutermostKindMakesARefusal(t *testing.T) {
	t.Parallel()
	refused := &attempt.Failure{Kind: attempt.Refused, Err: &APIError{Operation: "Op", Answer: Answer{Status: 409}}}
	transient := &attempt.Failure{Err: &APIError{Operation: "Read"}}

	require.NotNil(t, Refusal(refused))
	assert.Equal(t, "Op", Refusal(fmt.Errorf("wrapped: %w", refused)).Operation)
	assert.Nil(t, Refusal(fmt.Errorf("%w, read after %w", transient, refused)))
	assert.Nil(t, Refusal(attempt.Misconfigured.Errorf("enable it first: %w", refused)))
	assert.Nil(t, Refusal(attempt.Refused.Errorf("not by Huawei Cloud")))
	assert.Nil(t, Refusal(assert.AnError))
	assert.Nil(t, Refusal(nil))
}
