package client

import (
	"context"
	"errors"
	"slices"
	"strings"

	"registrar/pkg/wire"
)

// RegisteredRegions lists the regions in which IAM Identity Center is registered: none or one.
// Only the organization's management account and delegated administrators may ask.
func (c *Client) RegisteredRegions(ctx context.Context) ([]string, error) {
	type region struct {
		ID string `json:"region_id"`
	}
	var regions []region
	err := c.get(ctx, "RegisteredRegions", c.config.IdentityCenter.URL("v1", "registered-regions"),
		func(answer object, secrets wire.Secrets) (err error) {
			regions, err = list(answer, "regions", secrets, func(r *region, secrets wire.Secrets) error {
				if !isRegion(r.ID) || !credible(r.ID, secrets) {
					return errors.New("it names a region that can't be one")
				}
				return nil
			})
			return err
		})
	if noneRegistered(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range regions {
		ids = append(ids, r.ID)
	}
	return ids, nil
}

// isRegion reports whether an id has the form of a region's, such as cn-north-4.
func isRegion(id string) bool {
	parts := strings.Split(id, "-")
	return len(parts) > 1 && !slices.ContainsFunc(parts, func(part string) bool { return !only(part, lower+digits) })
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
