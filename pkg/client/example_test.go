package client_test

import (
	"context"
	"fmt"
	"time"

	"registrar/internal/huaweitest"
	"registrar/pkg/client"
)

// newExample makes a client of an organization without a region, which takes the place of Huawei
// Cloud here.
func newExample() *client.Client {
	cloud := huaweitest.New(huaweitest.Credentials{AccessKey: "AK", SecretKey: "SK"})
	return client.New(client.Config{
		IdentityCenter: endpoint("https://identitycenter.myhuaweicloud.com"),
		Organizations:  endpoint("https://organizations.myhuaweicloud.com"),
		MaxAttempts:    4,
		RequestTimeout: 10 * time.Second,
		Transport:      cloud, // leave it out to call Huawei Cloud itself
	}, client.Static(client.Credentials{AccessKey: "AK", SecretKey: "SK"}))
}

func Example() {
	ctx, api := context.Background(), newExample()

	before, err := api.RegisteredRegions(ctx)
	fmt.Println(before, err)
	done, err := api.RegisterRegion(ctx, "cn-north-4")
	fmt.Println(done.Attempts, "attempt,", err)
	after, err := api.RegisteredRegions(ctx)
	fmt.Println(after, err)
	// Output:
	// [] <nil>
	// 1 attempt, <nil>
	// [cn-north-4] <nil>
}

// What a refusal means is decided by reading the state, not by its code.
func ExampleRefusal() {
	ctx, api := context.Background(), newExample()
	if _, err := api.RegisterRegion(ctx, "cn-south-1"); err != nil {
		panic(err)
	}

	_, err := api.RegisterRegion(ctx, "cn-north-4")
	if refusal := client.Refusal(err); refusal != nil {
		fmt.Println(refusal.Operation, "was refused:", refusal.Status, refusal.Code)
		regions, err := api.RegisteredRegions(ctx)
		fmt.Println("There is", regions, err)
	}
	// Output:
	// RegisterRegion was refused: 409 IIC.1216
	// There is [cn-south-1] <nil>
}
