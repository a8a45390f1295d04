package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"registrar/pkg/wire"
)

// Bounds of a list, and of what stands in one.
const (
	pageSize     = 500
	maxPages     = 100
	maxMarker    = 1 << 10
	maxPrincipal = 100
	maxName      = 512 // bytes, of up to 128 characters
)

// Account is a member of the organization.
type Account struct {
	ID         string `json:"id"`
	Name       string `json:"name"`
	JoinMethod string `json:"join_method"` // "created" or "invited": who is invited chose the name; others may be added
	Status     string `json:"status"`      // "active", "suspended" or "pending_closure"; others may be added
}

func (a *Account) check(secrets wire.Secrets) error {
	if !credible(a.ID, secrets) || !credible(a.Status, secrets) {
		return errors.New("it has an account without an id or a status")
	}
	if !credible(a.JoinMethod, secrets) {
		a.JoinMethod = ""
	}
	a.Name = cleanName(a.Name, maxName, secrets)
	return nil
}

// Account reads a member account. An unknown one is refused, with a code that isn't published.
func (c *Client) Account(ctx context.Context, accountID string) (Account, error) {
	var account Account
	err := c.get(ctx, "Account", c.organizations("accounts", accountID),
		func(answer object, secrets wire.Secrets) (err error) {
			account, err = member[Account](answer, "account")
			switch {
			case err != nil:
				return err
			case account.ID != accountID:
				return errors.New("it is not about the account with this id")
			}
			return account.check(secrets)
		})
	return account, err
}

// Accounts lists the members of the organization.
func (c *Client) Accounts(ctx context.Context) ([]Account, error) {
	return pages(ctx, c, "Accounts", "accounts", c.organizations("accounts"), (*Account).check)
}

// Creation is how far the creation of an account is.
type Creation struct {
	State         string `json:"state"`          // "in_progress", "succeeded" or "failed"; others may be added
	AccountID     string `json:"account_id"`     // never empty if it succeeded
	FailureReason string `json:"failure_reason"` // a word in capitals, if it failed
}

// CreateAccountStatus reads how far the creation of an account is. An unknown id is refused, with a
// code that isn't published.
func (c *Client) CreateAccountStatus(ctx context.Context, id string) (Creation, error) {
	var creation Creation
	err := c.get(ctx, "CreateAccountStatus", c.organizations("create-account-status", id),
		func(answer object, secrets wire.Secrets) (err error) {
			creation, err = member[Creation](answer, "create_account_status")
			isAccount := credible(creation.AccountID, secrets)
			switch {
			case err != nil:
				return err
			case !credible(creation.State, secrets):
				return errors.New("it has no state")
			case creation.State == "succeeded" && !isAccount:
				return errors.New("it succeeded, but names no account")
			case !isAccount:
				creation.AccountID = ""
			}
			creation.FailureReason = secrets.Clean(creation.FailureReason, maxWord)
			return nil
		})
	return creation, err
}

// Administrator is an account that administers services for the whole organization.
type Administrator struct {
	AccountID   string `json:"account_id"`
	AccountName string `json:"account_name"`
}

// DelegatedAdministrators lists the accounts that administer the service, or any service if
// servicePrincipal is empty.
func (c *Client) DelegatedAdministrators(ctx context.Context, servicePrincipal string) ([]Administrator, error) {
	u := c.organizations("delegated-administrators")
	if servicePrincipal != "" {
		u.RawQuery = "service_principal=" + escape(servicePrincipal)
	}
	return pages(ctx, c, "DelegatedAdministrators", "delegated_administrators", u,
		func(a *Administrator, secrets wire.Secrets) error {
			if !credible(a.AccountID, secrets) {
				return errors.New("it has an administrator without the id of an account")
			}
			a.AccountName = cleanName(a.AccountName, maxName, secrets)
			return nil
		})
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
	var names []string
	url := c.organizations("services")
	err := c.get(ctx, "Services", url, func(answer object, secrets wire.Secrets) (err error) {
		names, err = list(answer, "services", secrets, cleanPrincipal)
		return err
	})
	return names, err
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

// principals reads a list of services by their names.
func (c *Client) principals(ctx context.Context, name, key string, u *url.URL) ([]string, error) {
	type service struct {
		Principal string `json:"service_principal"`
	}
	services, err := pages(ctx, c, name, key, u, func(s *service, secrets wire.Secrets) error {
		return cleanPrincipal(&s.Principal, secrets)
	})
	var names []string
	for _, s := range services {
		names = append(names, s.Principal)
	}
	return names, err
}

// pages reads the list with the key to its last page. Check says what in an item can't be true, and
// cleans what goes on from there. A list that doesn't end is a failure: a part of it would be taken
// for the whole.
func pages[T any](
	ctx context.Context, c *Client, name, key string, u *url.URL, check func(*T, wire.Secrets) error,
) ([]T, error) {
	var (
		all    []T
		seen   = map[string]bool{}
		filter = u.RawQuery
		marker string
	)
	for range maxPages {
		u.RawQuery = strings.TrimPrefix(filter+"&limit="+strconv.Itoa(pageSize), "&")
		if marker != "" {
			u.RawQuery += "&marker=" + escape(marker)
		}
		var items []T
		err := c.get(ctx, name, u, func(page object, secrets wire.Secrets) (err error) {
			items, err = list(page, key, secrets, check)
			if err == nil {
				marker, err = nextMarker(page, secrets)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		all = append(all, items...)
		switch {
		case len(all) > maxPages*pageSize:
			return nil, operation{name: name}.failed(fmt.Errorf("the list has more than %d entries", maxPages*pageSize))
		case marker == "":
			return all, nil
		case seen[marker]:
			return nil, operation{name: name}.failed(errors.New("the list doesn't end: a page marker came twice"))
		}
		seen[marker] = true
	}
	return nil, operation{name: name}.failed(fmt.Errorf("the list has more than %d pages of %d", maxPages, pageSize))
}

// nextMarker is the marker of the page after this one, empty on the last page.
func nextMarker(page object, secrets wire.Secrets) (string, error) {
	info, err := member[struct {
		NextMarker string `json:"next_marker"`
	}](page, "page_info")
	marker := info.NextMarker
	switch {
	case err != nil:
		return "", err
	case len(marker) > maxMarker:
		return "", fmt.Errorf("its page marker is longer than %d bytes", maxMarker)
	case secrets.Redact(marker) != marker: // it goes into a URL, which others log
		return "", errors.New("its page marker quotes a credential")
	}
	return marker, nil
}

// cleanPrincipal cleans the name of a service.
func cleanPrincipal(name *string, secrets wire.Secrets) error {
	if *name == "" {
		return errors.New("it lists a service without a name")
	}
	*name = cleanName(*name, maxPrincipal, secrets)
	return nil
}

// cleanName cleans a name. One of an odd form is cut rather than refused, or a service that Huawei
// Cloud has tomorrow would make every list unreadable. What isn't exactly as it came is put in
// quotes, so that it doesn't equal the name of anything else.
func cleanName(name string, limit int, secrets wire.Secrets) string {
	cleaned := secrets.Clean(name, limit)
	if cleaned != name {
		return strconv.Quote(cleaned)
	}
	return name
}
