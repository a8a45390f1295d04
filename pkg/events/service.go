package events

// BootstrapServices is what org.bootstrap and org.service.missing say about the services with
// trusted access.
type BootstrapServices struct {
	ServicePrincipals []ServicePrincipal // each once; nil if the event names none
}

// BootstrapServicesInput is the input org.bootstrap, "the organization was set up", as a function
// that enables trusted access reads it, and org.service.missing, with which an audit asks for it.
func BootstrapServicesInput() Input[BootstrapServices] {
	read := func(o object) (d BootstrapServices, err error) {
		d.ServicePrincipals, err = principals(o.given("service_principals"))
		return d, err
	}
	return Input[BootstrapServices]{"org.bootstrap", []string{serviceRequest}, read}
}

// Reject implements [Data].
func (d BootstrapServices) Reject(reason Reason, message string) Result {
	return ServiceResult{RegistrationsResult{Outcome: Rejected, Reason: reason, Message: message}}
}

// ServiceResult is the data of org.service.* results.
type ServiceResult struct{ RegistrationsResult }

// Family implements [Result].
func (r ServiceResult) Family() string { return serviceFamily }

// Subject is the service, if there is only one.
func (r ServiceResult) Subject() string {
	if len(r.Registrations) != 1 {
		return ""
	}
	return string(r.Registrations[0].ServicePrincipal)
}

func (r ServiceResult) data(cause Cause, step int) any { return r.withCause(cause, step) }
