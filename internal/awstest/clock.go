package awstest

import (
	"net/http"
	"time"
)

// ByClock gives a service a clock. What was signed more than 5 minutes off it is refused, as AWS
// does, and the header Date shows it.
func ByClock(now func() time.Time, service http.Handler) http.Handler {
	const most = 5 * time.Minute
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", now().UTC().Format(http.TimeFormat))
		signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		switch off := now().Sub(signed).Abs(); {
		case err == nil && off <= most:
			service.ServeHTTP(w, r)
		case isQuery(r):
			Refuse(http.StatusForbidden, "SignatureDoesNotMatch")(w, r)
		default:
			Refuse(http.StatusBadRequest, "InvalidSignatureException")(w, r)
		}
	})
}
