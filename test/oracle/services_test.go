package oracle

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdkerr"
	"github.com/huaweicloud/huaweicloud-sdk-go-v3/core/sdktime"
	centermodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/identitycenter/v1/model"
	orgmodel "github.com/huaweicloud/huaweicloud-sdk-go-v3/services/organizations/v1/model"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/client"
)

func registerRegion(id string) *centermodel.RegisterRegionRequest {
	return &centermodel.RegisterRegionRequest{Body: &centermodel.RegisterRegionReqBody{RegionId: id}}
}

func registerAdministrator(principal string) *orgmodel.RegisterDelegatedAdministratorRequest {
	return &orgmodel.RegisterDelegatedAdministratorRequest{
		Body: &orgmodel.DelegatedAdministratorReqBody{AccountId: account, ServicePrincipal: principal},
	}
}

func deregisterAdministrator(id, principal string) *orgmodel.DeregisterDelegatedAdministratorRequest {
	return &orgmodel.DeregisterDelegatedAdministratorRequest{
		Body: &orgmodel.DelegatedAdministratorReqBody{AccountId: id, ServicePrincipal: principal},
	}
}

func enableService(principal string) *orgmodel.EnableTrustedServiceRequest {
	return &orgmodel.EnableTrustedServiceRequest{Body: &orgmodel.TrustedServiceReqBody{ServicePrincipal: principal}}
}

func disableService(principal string) *orgmodel.DisableTrustedServiceRequest {
	return &orgmodel.DisableTrustedServiceRequest{Body: &orgmodel.TrustedServiceReqBody{ServicePrincipal: principal}}
}

func showAccount(id string) *orgmodel.ShowAccountRequest {
	return &orgmodel.ShowAccountRequest{AccountId: id}
}

func showCreation(id string) *orgmodel.ShowCreateAccountStatusRequest {
	return &orgmodel.ShowCreateAccountStatusRequest{CreateAccountStatusId: id}
}

func TestTheFakeServesTheOfficialClients(t *testing.T) {
	t.Parallel()
	for name, keys := range kindsOfCredentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, keys)
			at := time.Now().UTC().Truncate(time.Second)
			s.SetClock(func() time.Time { return at })
			s.AddAccount(account, "active")
			s.PageSize(3)
			var principals []string
			for i := range 7 {
				principals = append(principals, fmt.Sprintf("service.No%d", i))
			}
			s.TrustService(principals...)
			s.AddService("service.New")
			o := s.official(t)

			services, err := o.ListServices(&orgmodel.ListServicesRequest{})
			require.NoError(t, err)
			assert.Subset(t, *services.Services, append(slices.Clone(principals), "service.New"))
			enabled, err := o.EnableTrustedService(enableService("service.No9"))
			assertError(t, err, 400, "Organizations.9905")
			assert.Nil(t, enabled)
			_, err = o.EnableTrustedService(enableService(principals[0]))
			assertError(t, err, 409, "Organizations.9904")

			_, err = o.DescribeRegisteredRegions(&centermodel.DescribeRegisteredRegionsRequest{})
			assertError(t, err, 404, "IIC.1254")
			registered, err := o.RegisterRegion(registerRegion(region))
			require.NoError(t, err)
			assert.Equal(t, 200, registered.HttpStatusCode)
			assert.Equal(t, region, s.Region())
			_, err = o.RegisterRegion(registerRegion("cn-south-1"))
			assertError(t, err, 409, "IIC.1216")
			regions, err := o.DescribeRegisteredRegions(&centermodel.DescribeRegisteredRegionsRequest{})
			require.NoError(t, err)
			assert.Equal(t, &[]centermodel.RegionDto{{RegionId: region}}, regions.Regions)

			for _, principal := range principals {
				made, err := o.RegisterDelegatedAdministrator(registerAdministrator(principal))
				require.NoError(t, err)
				assert.Equal(t, 201, made.HttpStatusCode)
			}
			assert.Equal(t, principals, s.Delegations(account))
			_, err = o.RegisterDelegatedAdministrator(registerAdministrator(principals[0]))
			assertError(t, err, 409, "Organizations.9901")
			_, err = o.RegisterDelegatedAdministrator(registerAdministrator("service.Untrusted"))
			assertError(t, err, 400, "Organizations.1900")

			assert.Equal(t, [][]string{principals[:3], principals[3:6], principals[6:]},
				pages(t, func(limit *int32, marker *string) ([]string, *orgmodel.PageInfoDto) {
					answer, err := o.ListDelegatedServices(
						&orgmodel.ListDelegatedServicesRequest{AccountId: account, Limit: limit, Marker: marker},
					)
					require.NoError(t, err)
					var page []string
					for _, d := range *answer.DelegatedServices {
						page = append(page, d.ServicePrincipal)
						assert.Equal(t, at, time.Time(*d.DelegationEnabledAt))
					}
					return page, answer.PageInfo
				}))
			assert.Equal(t, [][]string{principals[:3], principals[3:6], principals[6:]},
				pages(t, func(limit *int32, marker *string) ([]string, *orgmodel.PageInfoDto) {
					request := &orgmodel.ListTrustedServicesRequest{Limit: limit, Marker: marker}
					answer, err := o.ListTrustedServices(request)
					require.NoError(t, err)
					var page []string
					for _, s := range *answer.TrustedServices {
						page = append(page, s.ServicePrincipal)
						assert.Equal(t, at, time.Time(*s.EnabledAt))
					}
					return page, answer.PageInfo
				}))

			enabled, err = o.EnableTrustedService(enableService("service.New"))
			require.NoError(t, err)
			assert.Equal(t, 200, enabled.HttpStatusCode)
			assert.Equal(t, append(slices.Clone(principals), "service.New"), s.Trusted())

			shown, err := o.ShowAccount(showAccount(account))
			require.NoError(t, err)
			assert.Equal(t, account, shown.Account.Id)
			assert.Equal(t, "active", shown.Account.Status)
			assert.Equal(t, at, time.Time(*shown.Account.JoinedAt))
			_, err = o.ShowAccount(showAccount("nobody"))
			assertError(t, err, 404, "Organizations.9902")

			require.NotEmpty(t, s.Requests())
			for _, r := range s.Requests() {
				assert.True(t, r.Verified, r)
				assert.Equal(t, keys.SecurityToken, r.Header.Get("X-Security-Token"), r)
				assert.Equal(t, keys.DomainID, r.Header.Get("X-Domain-Id"), r)
				assert.NotContains(
					t, signedHeaders(r.Header), "Host",
					"the official clients leave it out, and ours may differ in that",
				)
			}
		})
	}
}

func TestTheOfficialClientsReadTheOrganizationAsTheFakeHoldsIt(t *testing.T) {
	t.Parallel()
	for name, keys := range kindsOfCredentials() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, keys)
			joined := time.Now().UTC().Truncate(time.Second)
			delegated := joined.Add(time.Minute)
			at := joined
			s.SetClock(func() time.Time { return at })
			s.PageSize(3)
			o := s.official(t)

			accounts := []orgmodel.AccountDto{
				{Id: account, Name: "security", JoinMethod: "created", Status: "active"},
				{Id: "guest", Name: "security+é", JoinMethod: "invited", Status: "active"},
				{Id: "closed", Name: "account-closed", JoinMethod: "created", Status: "suspended"},
			}
			for i := range 4 {
				id := fmt.Sprint("member-", i)
				accounts = append(accounts, orgmodel.AccountDto{
					Id: id, Name: "account-" + id, JoinMethod: "created", Status: "pending_closure",
				})
			}
			for i, a := range accounts {
				s.AddAccount(a.Id, a.Status)
				accounts[i].JoinedAt = new(sdktime.SdkTime(joined))
				accounts[i].Urn = "organizations::management:account:o-fake/" + a.Id
			}
			s.NameAccount(account, "security")
			s.InviteAccount("guest", "security+é")

			assert.Equal(t, [][]orgmodel.AccountDto{accounts[:3], accounts[3:6], accounts[6:]},
				pages(t, func(limit *int32, marker *string) ([]orgmodel.AccountDto, *orgmodel.PageInfoDto) {
					answer, err := o.ListAccounts(&orgmodel.ListAccountsRequest{Limit: limit, Marker: marker})
					require.NoError(t, err)
					return *answer.Accounts, answer.PageInfo
				}))
			for _, a := range accounts {
				shown, err := o.ShowAccount(showAccount(a.Id))
				require.NoError(t, err)
				assert.Equal(t, &a, shown.Account)
			}

			// administrators reads the list of those of a service, or of all of them.
			administrators := func(service *string) [][]orgmodel.DelegatedAdministratorDto {
				return pages(t, func(limit *int32, marker *string) (
					[]orgmodel.DelegatedAdministratorDto, *orgmodel.PageInfoDto,
				) {
					answer, err := o.ListDelegatedAdministrators(&orgmodel.ListDelegatedAdministratorsRequest{
						ServicePrincipal: service, Limit: limit, Marker: marker,
					})
					require.NoError(t, err)
					return *answer.DelegatedAdministrators, answer.PageInfo
				})
			}
			assert.Equal(t, [][]orgmodel.DelegatedAdministratorDto{{}}, administrators(nil))
			var all []orgmodel.DelegatedAdministratorDto
			at = delegated
			for _, a := range accounts {
				s.Delegate(a.Id, secMaster)
				all = append(all, orgmodel.DelegatedAdministratorDto{
					AccountId: a.Id, AccountName: a.Name, AccountUrn: a.Urn, JoinMethod: a.JoinMethod,
					JoinedAt: a.JoinedAt, DelegationEnabledAt: new(sdktime.SdkTime(delegated)),
				})
			}
			s.Delegate("guest", "service.CTS")
			byThree := [][]orgmodel.DelegatedAdministratorDto{all[:3], all[3:6], all[6:]}
			assert.Equal(t, byThree, administrators(nil))
			assert.Equal(t, byThree, administrators(new(secMaster)))
			assert.Equal(t, [][]orgmodel.DelegatedAdministratorDto{all[1:2]}, administrators(new("service.CTS")))

			ended, err := o.DeregisterDelegatedAdministrator(deregisterAdministrator("guest", secMaster))
			require.NoError(t, err)
			assert.Equal(t, 200, ended.HttpStatusCode)
			assert.Equal(t, []string{"service.CTS"}, s.Delegations("guest"))
			_, err = o.DeregisterDelegatedAdministrator(deregisterAdministrator("guest", secMaster))
			assertError(t, err, 400, "Organizations.1500")

			s.TrustService(secMaster, "service.CTS")
			disabled, err := o.DisableTrustedService(disableService(secMaster))
			require.NoError(t, err)
			assert.Equal(t, 200, disabled.HttpStatusCode)
			assert.Equal(t, []string{"service.CTS"}, s.Trusted())
			_, err = o.DisableTrustedService(disableService(secMaster))
			assertError(t, err, 400, "Organizations.1900")

			for _, r := range s.Requests() {
				assert.True(t, r.Verified, r)
			}
		})
	}
}

func TestBothClientsReadTheSameOrganization(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["temporary credentials with a domain"])
	s.PageSize(3)
	s.InviteAccount("guest", "security+é")
	for i := range 6 {
		s.AddAccount(fmt.Sprint("member-", i), "pending_closure")
		s.Delegate(fmt.Sprint("member-", i), secMaster)
	}
	s.Delegate("guest", "service.CTS")
	o, ours := s.official(t), s.ours()

	var accounts []client.Account
	for _, page := range pages(t, func(limit *int32, marker *string) ([]orgmodel.AccountDto, *orgmodel.PageInfoDto) {
		answer, err := o.ListAccounts(&orgmodel.ListAccountsRequest{Limit: limit, Marker: marker})
		require.NoError(t, err)
		return *answer.Accounts, answer.PageInfo
	}) {
		for _, a := range page {
			accounts = append(accounts, client.Account{
				ID: a.Id, Name: a.Name, JoinMethod: a.JoinMethod, Status: a.Status,
			})
		}
	}
	require.Len(t, accounts, 7)
	got, err := ours.Accounts(t.Context())
	require.NoError(t, err)
	assert.Equal(t, accounts, got)

	for service, length := range map[string]int{"": 7, secMaster: 6, "service.CTS": 1, "service.RAM": 0} {
		var filter *string
		if service != "" {
			filter = &service
		}
		var administrators []client.Administrator
		for _, page := range pages(t, func(limit *int32, marker *string) (
			[]orgmodel.DelegatedAdministratorDto, *orgmodel.PageInfoDto,
		) {
			answer, err := o.ListDelegatedAdministrators(&orgmodel.ListDelegatedAdministratorsRequest{
				ServicePrincipal: filter, Limit: limit, Marker: marker,
			})
			require.NoError(t, err)
			return *answer.DelegatedAdministrators, answer.PageInfo
		}) {
			for _, a := range page {
				administrators = append(administrators, client.Administrator{
					AccountID: a.AccountId, AccountName: a.AccountName,
				})
			}
		}
		require.Len(t, administrators, length, service)
		got, err := ours.DelegatedAdministrators(t.Context(), service)
		require.NoError(t, err)
		assert.Equal(t, administrators, got, service)
	}

	for state, id := range map[string]string{"in_progress": "", "succeeded": "guest", "failed": ""} {
		s.SetCreateAccountStatus("car-1", state, id)
		answer, err := o.ShowCreateAccountStatus(showCreation("car-1"))
		require.NoError(t, err)
		theirs := answer.CreateAccountStatus
		want := client.Creation{State: theirs.State, AccountID: theirs.AccountId}
		if theirs.FailureReason != nil {
			want.FailureReason = *theirs.FailureReason
		}
		assert.Equal(t, state == "failed", want.FailureReason != "", "the official client reads it")
		creation, err := ours.CreateAccountStatus(t.Context(), "car-1")
		require.NoError(t, err)
		assert.Equal(t, want, creation)
	}
}

func TestTheOfficialClientReadsHowFarACreationGot(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["temporary credentials"])
	created := time.Now().UTC().Truncate(time.Second)
	completed := created.Add(time.Minute)
	at := created
	s.SetClock(func() time.Time { return at })
	s.NameAccount(account, "security")
	show := func(id string) (*orgmodel.CreateAccountStatusDto, error) {
		answer, err := s.official(t).ShowCreateAccountStatus(showCreation(id))
		if err != nil {
			return nil, err
		}
		return answer.CreateAccountStatus, nil
	}
	_, err := show("car-1")
	assertError(t, err, 404, "Organizations.9906")
	for _, want := range []orgmodel.CreateAccountStatusDto{
		{State: "in_progress", AccountName: "account-car-1"},
		{
			State: "succeeded", AccountId: account, AccountName: "security",
			CompletedAt: new(sdktime.SdkTime(completed)),
		},
		{
			State: "failed", AccountName: "account-car-1", CompletedAt: new(sdktime.SdkTime(completed)),
			FailureReason: new("EMAIL_ALREADY_EXISTS"),
		},
	} {
		s.SetCreateAccountStatus("car-1", want.State, want.AccountId)
		want.Id, want.CreatedAt = "car-1", new(sdktime.SdkTime(created))
		got, err := show("car-1")
		require.NoError(t, err)
		assert.Equal(t, &want, got)
		at = completed
	}
}

func TestTheFakeRefusesAnOfficialClientWithAnothersKey(t *testing.T) {
	t.Parallel()
	s := newSite(t, kindsOfCredentials()["temporary credentials"])
	s.keys.SecretKey = "another"
	_, err := s.official(t).RegisterRegion(registerRegion(region))
	assertError(t, err, http.StatusUnauthorized, "APIGW.0301")
	assert.Empty(t, s.Region())
}

// pages reads a list to its end.
func pages[T any](t *testing.T, read func(limit *int32, marker *string) ([]T, *orgmodel.PageInfoDto)) [][]T {
	t.Helper()
	var all [][]T
	var marker *string
	for {
		page, info := read(new(int32(200)), marker)
		require.NotNil(t, info)
		assert.EqualValues(t, len(page), *info.CurrentCount)
		all = append(all, page)
		require.Less(t, len(all), 10, "it ends")
		if info.NextMarker == "" {
			return all
		}
		marker = new(info.NextMarker)
	}
}

func assertError(t *testing.T, err error, status int, code string) {
	t.Helper()
	e, ok := errors.AsType[*sdkerr.ServiceResponseError](err)
	require.True(t, ok, "%T: %v", err, err)
	assert.Equal(t, status, e.StatusCode, e)
	assert.Equal(t, code, e.ErrorCode, e)
	assert.NotEmpty(t, e.RequestId)
}
