// Package client calls the Huawei Cloud APIs that register things for a whole organization: the
// region of IAM Identity Center, the services with trusted access, and the accounts that administer
// a service.
//
// # Failures
//
// Every failed call ends in an [*attempt.Failure] of one of three kinds, see [attempt.KindOf], and
// has an [*APIError] in it that says which call failed and how:
//
//   - [attempt.Transient]: may cure itself. The call was already tried as often as it may be.
//   - [attempt.Misconfigured]: an operator must act (permissions, credentials, endpoints) before
//     any call succeeds.
//   - [attempt.Refused]: Huawei Cloud refused this request, see [Refusal]. What that means is
//     decided by reading the state, because the codes for "already so" and "unknown" are not
//     published.
//
// Only an answer with an error code that names its service, such as IIC.1216, can refuse. What
// answers without one (a proxy, a firewall, a maintenance page) is not Huawei Cloud: a 404 means
// that the endpoint is wrong, most others may cure themselves. A read that succeeds is transient if
// it can't be read, lacks what was asked for, says what can't be true or has an error_code in it,
// and a list is read to its end or not at all. A write that succeeds with the code of a service is
// refused: it may have worked, so the state must be read. The name of a service or account that is
// too long, or has a secret, a control character or space around it, is cleaned and put in quotes.
//
// # Attempts
//
// A call is tried at most [Config].MaxAttempts times, as [attempt.Do] describes: only transient
// failures are tried again, after a wait with jitter that grows from 200 ms up to 20 s. A
// Retry-After of up to 20 s is honoured. After a longer one, and after a 429 without any, the call
// fails at once: Huawei Cloud counts attempts against its quotas, so waiting is the caller's
// business, see [attempt.AskedToWait]. Each request is signed by itself and may take
// Config.RequestTimeout. The last failure that Huawei Cloud answered is kept when the context ends.
//
// A 401 is believed only after two other causes are ruled out, neither of which counts as an
// attempt. If the server's clock is more than 5 minutes from ours, the request is signed once more
// with the server's time. If the credentials were loaded by an earlier call, they are loaded again,
// once for all calls that run at the time.
package client
