package huaweitest_test

import (
	"context"
	"fmt"
	"net/http"

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
