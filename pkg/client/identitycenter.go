package client

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
)

// RegisteredRegions lists the regions in which IAM Identity Center is registered: none or one.
// Only the organization's management account and delegated administrators may ask.
func (c *Client) RegisteredRegions(ctx context.Context) ([]string, error) {
	var answer struct {
		Regions []struct {
			RegionID string `json:"region_id"`
		} `json:"regions"`
	}
	_, err := c.do(ctx, get("RegisteredRegions", c.config.IdentityCenter, "/v1/registered-regions"), &answer)
	if noneRegistered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var regions []string
	for _, r := range answer.Regions {
		if r.RegionID == "" {
			return nil, &APIError{Operation: "RegisteredRegions", Err: errors.New("the answer holds a region without an id")}
		}
		regions = append(regions, r.RegionID)
	}
	return regions, nil
}

// RegisterRegion registers IAM Identity Center in a region. There is one region per organization, and no API to leave it.
// Only the organization's management account may call it.
//
// The path is that of the page's URI section and of Huawei Cloud's SDKs; the page's example shows another, which doesn't exist.
func (c *Client) RegisterRegion(ctx context.Context, regionID string) (Response, error) {
	return c.do(ctx, post("RegisterRegion", c.config.IdentityCenter, "/v1/register-regions",
		map[string]string{"region_id": regionID}), nil)
}

func get(name string, endpoint Endpoint, path string) operation {
	return operation{name: name, method: http.MethodGet, url: string(endpoint) + path}
}

func post(name string, endpoint Endpoint, path string, body map[string]string) operation {
	b, _ := json.Marshal(body) // a map of strings has no way to fail
	return operation{name: name, method: http.MethodPost, url: string(endpoint) + path, body: b}
}
