package client

import (
	"context"
	"errors"
	"regexp"

	"registrar/pkg/wire"
)

// RegisteredRegions lists the regions in which IAM Identity Center is registered: none or one.
// Only the organization's management account and delegated administrators may ask.
func (c *Client) RegisteredRegions(ctx context.Context) ([]string, error) {
	type regions struct {
		Regions list[struct {
			RegionID string `json:"region_id"`
		}] `json:"regions"`
	}
	form := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)+$`)
	answer, err := get(ctx, c, "RegisteredRegions", c.config.IdentityCenter.URL("v1", "registered-regions"),
		func(answer *regions, secrets wire.Secrets) error {
			if answer.Regions == nil {
				return errors.New("it has no list of regions")
			}
			for _, r := range answer.Regions {
				if !credible(r.RegionID, form, secrets) {
					return errors.New("it names a region that can't be one")
				}
			}
			return nil
		})
	if noneRegistered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range answer.Regions {
		ids = append(ids, r.RegionID)
	}
	return ids, nil
}

// RegisterRegion registers IAM Identity Center in a region. There is one region per organization,
// and no API to leave it. Only the organization's management account may call it.
//
// The path is that of the API page's URI section and of Huawei Cloud's SDKs; the page's example
// shows another, which doesn't exist.
func (c *Client) RegisterRegion(ctx context.Context, regionID string) (Sent, error) {
	return c.post(ctx, "RegisterRegion", c.config.IdentityCenter.URL("v1", "register-regions"),
		map[string]string{"region_id": regionID})
}

// WarmIdentityCenter is [Client.Warm] for the endpoint of IAM Identity Center.
func (c *Client) WarmIdentityCenter(ctx context.Context) { c.Warm(ctx, c.config.IdentityCenter) }
