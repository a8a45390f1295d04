// Package huaweitest is a fake Huawei Cloud: IAM Identity Center, Organizations and STS behind one
// API gateway, as far as registering regions, trusted services and delegated administrators needs
// them, with stored keys or without. It is constructed from the documents alone.
//
// It keeps state, verifies every signature over the bytes it received, can be told to fail, and
// remembers every request. A [Cloud] is an [net/http.Handler] for any server and an
// [net/http.RoundTripper] for tests without a network, such as those in a testing/synctest bubble.
// It starts no goroutines and waits only in a [Fault]'s Delay.
//
// A request passes the gateway (is there such an API? is the signature right? is the quota used up?
// does its session policy allow it?) and then its service. One route table says what exists, see
// routes.go.
//
// # Documented
//
// These follow Huawei Cloud's API pages, error tables and SDKs:
//   - paths, methods, bodies, status codes: 200 for register-regions, enabling and disabling
//     trusted access and deregistering a delegated administrator, 201 for registering one, all
//     without a body
//   - join_method created or invited; status active, suspended or pending_closure; a creation's
//     state in_progress, succeeded or failed, with a failure_reason then
//   - delegated administrators are listed with service_principal, of 1 to 100 characters, or
//     without, and do not say for which service
//   - 400 Organizations.1500, deregistering what is not a delegated administrator; 400
//     Organizations.1900, disabling trusted access that is disabled
//   - 409 IIC.1216, one region per organization, whichever it is; 404 IIC.1254, no region
//     registered; 400 IIC.400, bad request
//   - 404 APIGW.0101 for an unknown path or method, 401 APIGW.0301 for a request not authenticated,
//     429 APIGW.0308 beyond a quota
//   - error bodies of error_code, error_msg and request_id, the latter equal to the X-Request-Id
//     header that every answer has
//   - SDK-HMAC-SHA256: the canonical request, UNSIGNED-PAYLOAD for bodies that are not JSON, 15
//     minutes of clock skew, Host and Content-Type not necessarily signed
//   - limit from 1 to 2000; next_marker null on the last page
//   - the IAM action of each API, and that of delegated administrators for registered-regions
//   - 403 IIC.1000, no permission for an action; 403 IIC.1001, none for one it depends on; 403
//     Organizations.1007, an action that a policy does not allow; encoded_authorization_message in
//     a 403 for a lack of rights
//   - STS: assume-with-oidc, which needs no signature, and assume; the fields of both bodies, their
//     bounds and defaults; at most an hour with temporary credentials; the fields of both answers
//   - a token is compared with the trust policy by StringEquals on oidc:iss, oidc:aud and oidc:sub;
//     403 STS5.1001 if none allows it
//   - temporary credentials sign together with their security token, until they expire, and may do
//     no more than the session policy
//
// # Assumed
//
// Huawei publishes nothing about these, so nothing should depend on them; [Cloud.SetUnpublished]
// changes the answers:
//   - register for an account already delegated: 409 Organizations.9901, a code that does not exist
//   - an unknown account, on register and on both reads of one: 404 Organizations.9902, likewise
//   - register for an account that is not active: 400 Organizations.9903, likewise
//   - register for a service that is not trusted: 400 Organizations.1900, which is known from
//     disabling trusted access
//   - enabling a service that is trusted already: 409 Organizations.9904, a code that does not
//     exist
//   - enabling a service that does not exist: 400 Organizations.9905, likewise
//   - an unknown create-account-status: 404 Organizations.9906, likewise
//   - bad bodies, limits, markers and filters in Organizations: 400 Organizations.9900, likewise
//   - bad bodies and policies in STS: 400 STS5.9900, likewise; so are 400 STS5.9901 for what is not
//     a JWT, STS5.9902 for one that has expired, STS5.9903 for an unknown provider and STS5.9904
//     for an unknown agency
//   - that what a session policy denies is refused with the codes above
//
// Nor about these:
//   - the order of these checks: account known, already delegated, account active, service trusted
//   - deregistering an unknown account, and disabling a service that does not exist, are refused
//     like what is not delegated and not trusted
//   - disabling trusted access keeps the delegations; deregistering needs neither trusted access
//     nor an active account
//   - the order of lists: accounts and delegated administrators by joining, services by enabling or
//     registration
//   - without service_principal, a delegated administrator of several services is listed once, with
//     the time of the first; a service that is unknown or not trusted filters like any other
//   - a creation's account_id and completed_at are null as long as there are none, its account_name
//     is made up until the account is known, its failure_reason is EMAIL_ALREADY_EXISTS
//   - an unknown API is refused before its signature is looked at
//   - 200 as the default limit (the API pages say 200 or 1000)
//   - a quota counts per API and in fixed windows, calls refused for it included, other refused
//     calls not
//   - 403 STS5.1001 for an agency that the caller may not assume, which is known from
//     assume-with-oidc
//   - an expired or revoked access key is refused like an unknown one
//   - expiration is a string of RFC 3339 in UTC, in whole seconds; [Cloud.SetExpiration] changes it
//   - the URN and id of an assumed agency; a source_identity of none is ""
//   - a token for several audiences is for each of them
//   - the message texts
//
// # Not looked at
//
//   - who signed a JWT: the fake has no keys of an issuer, it wants an alg and some signature. Of
//     the claims it reads iss, aud, sub and exp
//   - the Resource and Condition of a session policy, which has Effect Allow only. Actions are
//     compared letter for letter but for *
//   - an agency's own rights, which are all, and its longest session, which is 12 hours
//   - policy_ids, which must be an empty list; multi-factor codes, external ids and tags, which
//     must only have the right form
//
// # Stricter than Huawei Cloud
//
// To catch mistakes that the real gateway may forgive, the fake refuses:
//   - an X-Security-Token or X-Domain-Id that is sent but not signed (the real gateway accepts an
//     unsigned token), a token with credentials that have none, another domain than the
//     credentials'
//   - SignedHeaders not in lower case, sorted and without duplicates, and signed headers that are
//     missing or sent more than once
//   - an X-Sdk-Content-Sha256 that is not signed, or is neither UNSIGNED-PAYLOAD nor the hash of
//     the body
//   - POST bodies without Content-Type application/json, and bodies with fields the API page does
//     not know
//   - null for a field of a request to STS that may be left out
//   - a marker of another list, of the same list with another filter, or after an item that is gone
//
// Percent-encoding is not compared literally: path and query are signed by their decoded values, so
// %2f may stand for %2F and + for %20 in a query, as with the real gateway.
package huaweitest
