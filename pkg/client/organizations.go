package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"

	"registrar/pkg/wire"
)

// Bounds of a list, and of what stands in one.
const (
	pageSize     = 500
	maxPages     = 100
	maxMarker    = 1 << 10
	maxPrincipal = 100
)

// Account is a member of the organization.
type Account struct {
	ID     string `json:"id"`
	Status string `json:"status"` // "active", "suspended" or "pending_closure"; others may be added
}

// Account reads a member account. An unknown one is refused, with a code that isn't published.
func (c *Client) Account(ctx context.Context, accountID string) (Account, error) {
	type account struct {
		Account Account `json:"account"`
	}
	form := regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	answer, err := get(ctx, c, "Account", c.organizations("accounts", accountID),
		func(answer *account, secrets wire.Secrets) error {
			if answer.Account.ID != accountID || !credible(answer.Account.Status, form, secrets) {
				return errors.New("it has no account of this id with a status")
			}
			return nil
		})
	return answer.Account, err
}

// DelegatedServices lists the service principals that the account administers for the organization.
func (c *Client) DelegatedServices(ctx context.Context, accountID string) ([]string, error) {
	return c.principals(ctx, "DelegatedServices", "delegated_services",
		c.organizations("accounts", accountID, "delegated-services"))
}

// TrustedServices lists the service principals that have trusted access to the organization.
func (c *Client) TrustedServices(ctx context.Context) ([]string, error) {
	return c.principals(ctx, "TrustedServices", "trusted_services", c.organizations("trusted-services"))
}

// Services lists the service principals that can have trusted access at all.
func (c *Client) Services(ctx context.Context) ([]string, error) {
	type services struct {
		Services list[string] `json:"services"`
	}
	url := c.organizations("services")
	answer, err := get(ctx, c, "Services", url, func(answer *services, secrets wire.Secrets) error {
		if answer.Services == nil {
			return errors.New("it has no list of services")
		}
		for i := range answer.Services {
			if err := cleanPrincipal(&answer.Services[i], secrets); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer.Services, nil
}

// EnableTrustedService gives a service trusted access to the organization. Only the organization's
// management account may call it.
func (c *Client) EnableTrustedService(ctx context.Context, servicePrincipal string) (Sent, error) {
	return c.post(ctx, "EnableTrustedService", c.organizations("trusted-services", "enable"),
		map[string]string{"service_principal": servicePrincipal})
}

// RegisterDelegatedAdministrator makes a member account an administrator of a service for the whole
// organization. Only the organization's management account may call it, and the service must have
// trusted access.
func (c *Client) RegisterDelegatedAdministrator(
	ctx context.Context, accountID, servicePrincipal string,
) (Sent, error) {
	return c.post(ctx, "RegisterDelegatedAdministrator", c.organizations("delegated-administrators", "register"),
		map[string]string{"account_id": accountID, "service_principal": servicePrincipal})
}

func (c *Client) organizations(elements ...string) *url.URL {
	return c.config.Organizations.URL(append([]string{"v1", "organizations"}, elements...)...)
}

// principals reads the list with the key to its last page. A list that doesn't end is a
// failure: a part of it would be taken for the whole.
func (c *Client) principals(ctx context.Context, name, key string, u *url.URL) ([]string, error) {
	var (
		all    []string
		seen   = map[string]bool{}
		marker string
	)
	for range maxPages {
		u.RawQuery = "limit=" + strconv.Itoa(pageSize)
		if marker != "" {
			u.RawQuery += "&marker=" + escape(marker)
		}
		answer, err := get(ctx, c, name, u, func(p *page, secrets wire.Secrets) error { return p.check(key, secrets) })
		if err != nil {
			return nil, err
		}
		for _, s := range answer.list(key) {
			all = append(all, s.Principal)
		}
		marker = answer.Info.NextMarker
		switch {
		case marker == "":
			return all, nil
		case seen[marker]:
			return nil, operation{name: name}.failed(errors.New("the list doesn't end: a page marker came twice"))
		}
		seen[marker] = true
	}
	return nil, operation{name: name}.failed(fmt.Errorf("the list has more than %d pages of %d", maxPages, pageSize))
}

// page is a part of one of the lists. The other is nil.
type page struct {
	Delegated list[service] `json:"delegated_services"`
	Trusted   list[service] `json:"trusted_services"`
	Info      struct {
		NextMarker string `json:"next_marker"` // empty on the last page
	} `json:"page_info"`
}

type service struct {
	Principal string `json:"service_principal"`
}

// list returns the list with the key, nil if the page doesn't have it.
func (p *page) list(key string) []service {
	return map[string]list[service]{"delegated_services": p.Delegated, "trusted_services": p.Trusted}[key]
}

func (p *page) check(key string, secrets wire.Secrets) error {
	list := p.list(key)
	switch {
	case list == nil:
		return errors.New("it has no list of " + key)
	case len(p.Info.NextMarker) > maxMarker:
		return fmt.Errorf("its page marker is longer than %d bytes", maxMarker)
	}
	for i := range list {
		if err := cleanPrincipal(&list[i].Principal, secrets); err != nil {
			return err
		}
	}
	return nil
}

// WarmOrganizations is [Client.Warm] for the endpoint of Organizations.
func (c *Client) WarmOrganizations(ctx context.Context) { c.Warm(ctx, c.config.Organizations) }

// cleanPrincipal cleans the name of a service. One of an odd form is cut rather than refused, or a
// service that Huawei Cloud has tomorrow would make every list unreadable. What isn't exactly as it
// came is put in quotes, so that it doesn't equal the name of a service.
func cleanPrincipal(name *string, secrets wire.Secrets) error {
	if *name == "" {
		return errors.New("it lists a service without a name")
	}
	if cleaned := secrets.Clean(*name, maxPrincipal); cleaned != *name {
		*name = strconv.Quote(cleaned)
	}
	return nil
}
