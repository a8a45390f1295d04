// Command minimal is the handler that anybody would write for one call of Huawei Cloud: nothing is
// checked, tried again, logged or sent on.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/sethvargo/go-envconfig"

	"registrar/pkg/client"
)

type config struct {
	Endpoint string `env:"ORGANIZATIONS_ENDPOINT, required"`
	Keys     client.Credentials
}

type asked struct {
	AccountID string `json:"account_id"`
}

type administered struct {
	Services []struct {
		Principal string `json:"service_principal"`
	} `json:"delegated_services"`
}

func main() {
	var c config
	if err := envconfig.Process(context.Background(), &c); err != nil {
		log.Fatal(err)
	}
	lambda.Start(c.handle)
}

func (c config) handle(ctx context.Context, e event.Event) (*event.Event, error) {
	var account asked
	if err := e.DataAs(&account); err != nil {
		return nil, err
	}
	services, err := c.services(ctx, account.AccountID)
	if err != nil {
		return nil, err
	}
	result := event.New()
	result.SetID(e.ID())
	result.SetSource("/minimal")
	result.SetType("account.services")
	result.SetSubject(account.AccountID)
	result.SetTime(time.Now())
	return &result, result.SetData(event.ApplicationJSON, services)
}

func (c config) services(ctx context.Context, accountID string) (services administered, err error) {
	url := c.Endpoint + "/v1/organizations/accounts/" + accountID + "/delegated-services"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return services, err
	}
	client.Sign(req, nil, c.Keys, time.Now())
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return services, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return services, fmt.Errorf("%s: %s", url, resp.Status)
	}
	return services, json.NewDecoder(resp.Body).Decode(&services)
}
