package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"time"
)

// The paths of what functions write.
const (
	registerRegion = "/v1/register-regions"
	enableService  = "/v1/organizations/trusted-services/enable"
	registerAdmin  = "/v1/organizations/delegated-administrators/register"
)

// lag is how far behind the state a list may be.
const lag = time.Second

// gate stands between the functions and the fake cloud. It does to requests what networks, gateways
// and busy services do, and tells the world what was written.
type gate struct {
	world    *world
	books    *books
	phases   *phases
	dice     *dice
	instance *instance // the one that it serves

	mu      sync.Mutex
	answers map[string]answer // the last good answer of each list
}

type answer struct {
	*httptest.ResponseRecorder
	at time.Time
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodHead { // warms the connection
		g.world.cloud.ServeHTTP(w, r)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	kind := g.fault(r.Method)
	if kind != "" {
		g.books.count(faultsInjected, kind)
	}
	switch kind {
	case "a delay":
		time.Sleep(g.dice.between(5*time.Millisecond, 120*time.Millisecond))
	case "a reset before":
		panic(http.ErrAbortHandler)
	case "a list that lags":
		g.mu.Lock()
		old := g.answers[r.URL.String()]
		g.mu.Unlock()
		if old.ResponseRecorder != nil && time.Since(old.at) < lag {
			old.send(w)
			return
		}
	case "throttled", "an error with a code", "an error without a code", "a refusal":
		if r.Method == http.MethodPost {
			g.books.count(writes, "attempted")
		}
		if kind == "a refusal" {
			g.refuse(r.URL.Path, body)
		}
		g.failure(kind).send(w)
		return
	}

	a := g.forward(r, body)
	switch kind {
	case "a reset after":
		panic(http.ErrAbortHandler)
	case "an error after", "a refusal after":
		if kind == "a refusal after" {
			g.refuse(r.URL.Path, body)
		}
		a = g.failure(strings.TrimSuffix(kind, " after"))
	}
	if r.Method == http.MethodPost && a.Code/100 == 2 {
		g.instance.wrote(a.Header().Get("X-Request-Id"))
	}
	a.send(w)
}

// fault chooses what happens to a request, "" for nothing.
func (g *gate) fault(method string) string {
	p := g.phases.now()
	kinds := []string{
		"a delay", "a reset before", "a reset after", "an error with a code", "an error without a code",
		"an error without a code",
	}
	if method == http.MethodPost {
		kinds = append(kinds, "a refusal", "a refusal", "a refusal after", "an error after")
	} else {
		kinds = append(kinds, "a list that lags", "a list that lags")
	}
	switch {
	case g.dice.chance(p.throttled):
		return "throttled"
	case g.dice.chance(p.faults):
		return kinds[g.dice.n(len(kinds))]
	}
	return ""
}

// forward serves a request by the fake. Writes and other changes of the state come one after
// another, so that their order is known.
func (g *gate) forward(r *http.Request, body []byte) answer {
	r.Body = io.NopCloser(bytes.NewReader(body))
	a := answer{httptest.NewRecorder(), time.Now()}
	if r.Method != http.MethodPost {
		g.world.cloud.ServeHTTP(a, r)
		g.mu.Lock()
		defer g.mu.Unlock()
		if a.Code == http.StatusOK {
			maps.DeleteFunc(g.answers, func(_ string, old answer) bool { return a.at.Sub(old.at) > lag })
			g.answers[r.URL.String()] = a
		}
		return a
	}
	g.books.count(writes, "attempted")
	asked := fields(body)
	g.world.mu.Lock()
	g.world.cloud.ServeHTTP(a, r)
	wrong := ""
	switch {
	case a.Code/100 == 2:
		wrong = g.world.wrote(a.at, r.URL.Path, asked)
	case a.Code < http.StatusInternalServerError:
		g.world.refuse(a.at, r.URL.Path, asked)
	}
	g.world.mu.Unlock()
	if a.Code/100 == 2 {
		g.books.count(writes, "effective")
	}
	if wrong != "" {
		g.books.accuse(untrue, wrong)
	}
	return a
}

// refuse notes that a write was refused by the gate.
func (g *gate) refuse(path string, body []byte) {
	g.world.mu.Lock()
	defer g.world.mu.Unlock()
	g.world.refuse(time.Now(), path, fields(body))
}

// fields are what a write asks for.
func fields(body []byte) map[string]string {
	asked := map[string]string{}
	_ = json.Unmarshal(body, &asked) // the fake refuses what isn't an object of strings
	return asked
}

// failure is an answer that nobody wants. Its text echoes the keys, as careless services do.
func (g *gate) failure(kind string) answer {
	type refusal struct {
		status int
		code   string
	}
	all := []refusal{{http.StatusBadRequest, "Organizations.9999"}, {http.StatusNotFound, "IIC.9999"}}
	a := answer{httptest.NewRecorder(), time.Now()}
	known := []string{secretKey, securityToken} // the cloud knows no others
	echo := fmt.Sprintf("for reasons: %s %s", known[g.dice.n(len(known))],
		base64.StdEncoding.EncodeToString([]byte(known[g.dice.n(len(known))])))
	switch kind {
	case "throttled":
		all = []refusal{{http.StatusTooManyRequests, "APIGW.0308"}}
		if g.dice.chance(0.5) {
			a.Header().Set("Retry-After", "1")
		}
	case "an error with a code", "an error":
		all = []refusal{
			{http.StatusInternalServerError, "Organizations.1004"},
			{http.StatusServiceUnavailable, "APIGW.0201"},
			{http.StatusConflict, "Organizations.1003"},
			{http.StatusConflict, "IIC.1006"},
			{http.StatusUnauthorized, "APIGW.0301"},
			{http.StatusForbidden, "Organizations.1007"},
			{http.StatusOK, "IIC.1216"},
		}
	case "an error without a code":
		all = []refusal{
			{http.StatusBadGateway, ""},
			{http.StatusTeapot, ""},
			{http.StatusForbidden, ""},
			{http.StatusNotFound, ""},
			{http.StatusBadRequest, ""},
		}
	}
	one := all[g.dice.n(len(all))]
	a.Header().Set("Content-Type", "text/html")
	text := []byte("<html><body>" + echo + "</body></html>")
	if one.code != "" {
		a.Header().Set("Content-Type", "application/json")
		text, _ = json.Marshal(map[string]string{"error_code": one.code, "error_msg": echo}) // strings always encode
	}
	a.Code = one.status
	a.Body.Write(text)
	return a
}

func (a answer) send(w http.ResponseWriter) {
	maps.Copy(w.Header(), a.Header())
	w.WriteHeader(a.Code)
	_, _ = w.Write(a.Body.Bytes())
}
