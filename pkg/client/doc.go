// Package client calls the Huawei Cloud APIs that register things for a whole organization:
// the region of IAM Identity Center, and the accounts that administer a service.
//
// # Failures
//
// Every failed call ends in an [*APIError], and every APIError is of one of three kinds,
// found with [errors.Is]:
//
//   - [ErrTransient]: may cure itself. The call was already tried again as often as it may be.
//   - [ErrMisconfigured]: an operator must act (permissions, credentials, endpoints) before any call succeeds.
//   - [ErrRefused]: Huawei Cloud refused this request. What that means is decided by reading the state,
//     because the codes for "already so" and "unknown" are not published.
//
// # Attempts
//
// A call is tried at most [Config].MaxAttempts times, each attempt signed anew. Only transient
// failures are tried again, after an exponential wait with full jitter from 200 ms up to 20 s.
// A Retry-After of up to 20 s is honoured. After a longer one, and after a 429 without any, the call returns at
// once: Huawei Cloud counts retries against its quotas, so waiting is the caller's business.
// No attempt and no wait goes past the deadline of the context; the last real error is kept.
//
// A 401 is believed only after a clock that is off was ruled out (the request is signed once more with
// the server's time) and the credentials were loaded anew (once, shared by concurrent calls).
package client
