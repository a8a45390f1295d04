package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"
)

// sink takes results and what audits ask for.
func (s *soak) sink(w http.ResponseWriter, r *http.Request, d *dice) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	kind := ""
	if d.chance(s.phases.now().sink) {
		kinds := []string{ // a result that isn't stored is what may get lost
			"sink: an error before", "sink: an error before", "sink: an error before", "sink: a reset before",
			"sink: a reset before", "sink: a reset before", "sink: throttled", "sink: a delay", "sink: an error after",
			"sink: a reset after",
		}
		kind = kinds[d.n(len(kinds))]
		s.books.count(faultsInjected, kind)
	}
	switch kind {
	case "sink: a delay":
		time.Sleep(d.between(5*time.Millisecond, 300*time.Millisecond))
	case "sink: an error before":
		http.Error(w, "try again "+sinkPath, http.StatusServiceUnavailable)
		return
	case "sink: a reset before":
		panic(http.ErrAbortHandler)
	case "sink: throttled":
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	s.take(r.PathValue("function"), body)
	switch kind {
	case "sink: an error after":
		w.WriteHeader(http.StatusInternalServerError)
	case "sink: a reset after":
		panic(http.ErrAbortHandler)
	default:
		w.WriteHeader(http.StatusAccepted)
	}
}

// take stores a result, or routes a request to its queue as the bus does.
func (s *soak) take(function string, body []byte) {
	s.leaks.look("a result of "+function, body)
	var asked struct {
		ID, Source, Type string
		Data             struct {
			AccountID         string   `json:"account_id"`
			ServicePrincipals []string `json:"service_principals"`
		}
	}
	_ = json.Unmarshal(body, &asked) // the judge says what is wrong with a result
	e := &event{source: asked.Source, id: asked.ID, services: asked.Data.ServicePrincipals}
	given := services
	switch asked.Type {
	case "org.service.missing":
		e.function = "register-service"
	case "account.admin.missing":
		e.function, given = "register-admin", nil
		if e.account = s.world.find(asked.Data.AccountID); e.account != nil {
			given = e.account.given
		}
	default:
		s.books.result(function, atSink, body, time.Now())
		return
	}
	s.books.count(results, asked.Type)
	for _, service := range e.services {
		if !slices.Contains(given, service) {
			s.books.accuse(untrue, fmt.Sprintf("an audit asks for what no rule gives: %.300s", body))
			return
		}
	}
	s.enqueue(job{e, body})
}
