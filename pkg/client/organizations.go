package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
)

const pageSize = 200

// Account is a member of the organization.
type Account struct {
	ID     string `json:"id"`
	Status string `json:"status"` // "active", "suspended" or "pending_closure"; others may be added
}

// Account reads a member account. An unknown one is refused, with a code that isn't published.
func (c *Client) Account(ctx context.Context, accountID string) (Account, error) {
	var answer struct {
		Account Account `json:"account"`
	}
	_, err := c.do(ctx, get("Account", c.config.Organizations,
		"/v1/organizations/accounts/"+url.PathEscape(accountID)), &answer)
	if err == nil && (answer.Account.ID == "" || answer.Account.Status == "") {
		err = &APIError{Operation: "Account", Err: errors.New("the answer holds no account with an id and a status")}
	}
	return answer.Account, err
}

// DelegatedServices lists the service principals that the account administers for the organization.
func (c *Client) DelegatedServices(ctx context.Context, accountID string) ([]string, error) {
	return c.servicePrincipals(ctx, "DelegatedServices",
		"/v1/organizations/accounts/"+url.PathEscape(accountID)+"/delegated-services")
}

// TrustedServices lists the service principals that have trusted access to the organization.
func (c *Client) TrustedServices(ctx context.Context) ([]string, error) {
	return c.servicePrincipals(ctx, "TrustedServices", "/v1/organizations/trusted-services")
}

// RegisterDelegatedAdministrator makes a member account an administrator of a service for the whole organization.
// Only the organization's management account may call it, and the service must have trusted access.
func (c *Client) RegisterDelegatedAdministrator(ctx context.Context, accountID, servicePrincipal string) (Response, error) {
	return c.do(ctx, post("RegisterDelegatedAdministrator", c.config.Organizations,
		"/v1/organizations/delegated-administrators/register",
		map[string]string{"account_id": accountID, "service_principal": servicePrincipal}), nil)
}

// servicePrincipals reads a list page by page.
func (c *Client) servicePrincipals(ctx context.Context, name, path string) ([]string, error) {
	var (
		principals []string
		seen       = map[string]bool{}
	)
	for marker := ""; ; {
		var page struct {
			DelegatedServices []service `json:"delegated_services"`
			TrustedServices   []service `json:"trusted_services"`
			PageInfo          struct {
				NextMarker string `json:"next_marker"`
			} `json:"page_info"`
		}
		query := "?limit=" + strconv.Itoa(pageSize)
		if marker != "" {
			query += "&marker=" + escape(marker)
		}
		if _, err := c.do(ctx, get(name, c.config.Organizations, path+query), &page); err != nil {
			return nil, err
		}
		for _, s := range append(page.DelegatedServices, page.TrustedServices...) {
			principals = append(principals, s.ServicePrincipal)
		}
		marker = page.PageInfo.NextMarker
		if marker == "" {
			return principals, nil
		}
		if seen[marker] {
			return nil, &APIError{Operation: name, Err: fmt.Errorf("page marker %.40q came twice", marker)}
		}
		seen[marker] = true
	}
}

type service struct {
	ServicePrincipal string `json:"service_principal"`
}
