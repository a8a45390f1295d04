package huaweitest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"registrar/internal/huaweitest"
)

func Example() {
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AK", SecretKey: "SK"})
	cloud.OnRequest(func(r huaweitest.Request) { fmt.Println(r) })
	cloud.Script("POST", "/v1/register-regions", huaweitest.Fault{Status: 503, Code: "APIGW.0201"})

	client := &http.Client{Transport: cloud} // or any http.Server with cloud as its Handler
	for range 2 {
		req, err := http.NewRequestWithContext(
			context.Background(), http.MethodPost, "https://huawei.example/v1/register-regions", nil,
		)
		if err != nil {
			panic(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
	}
	// Output:
	// POST /v1/register-regions 503 APIGW.0201 (unverified)
	// POST /v1/register-regions 401 APIGW.0301 (unverified)
}

func ExampleCloud_TrustOIDC() {
	const provider, agency = "iam::0a6d25d2:oidcProvider:aws", "iam::0a6d25d2:agency:registrar"
	cloud := huaweitest.New() // nobody has a key
	cloud.TrustOIDC(provider, agency, huaweitest.Trust{
		Issuer: "https://issuer.example", Audience: "https://huawei.example", Subjects: []string{"the function"},
	})
	cloud.OnRequest(func(r huaweitest.Request) { fmt.Println(r) })

	client := &http.Client{Transport: cloud}
	for _, subject := range []string{"the function", "another"} {
		body, err := json.Marshal(map[string]any{
			"provider_urn": provider, "agency_urn": agency, "agency_session_name": "register-region",
			"id_token": token(document{
				"iss": "https://issuer.example", "aud": "https://huawei.example", "sub": subject,
				"exp": time.Now().Add(time.Minute).Unix(),
			}),
		})
		if err != nil {
			panic(err)
		}
		resp, err := client.Post(
			"https://sts.example/v5/agencies/assume-with-oidc", "application/json", bytes.NewReader(body),
		)
		if err != nil {
			panic(err)
		}
		_ = resp.Body.Close()
	}
	fmt.Println(len(cloud.Issued()), "issued")
	// Output:
	// POST /v5/agencies/assume-with-oidc 200
	// POST /v5/agencies/assume-with-oidc 403 STS5.1001
	// 1 issued
}
