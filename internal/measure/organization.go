package measure

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"registrar/internal/huaweitest"
)

// The account of the samples, and the region.
const (
	account = "05261f923e80d3890f33c0056e9b3f80"
	region  = "cn-north-4"
	service = "service.SecMaster"
)

// Organization is a fake one in which all is registered that shall be, so that every event is a
// duplicate.
type Organization struct {
	*huaweitest.Cloud
	// AccountCreated is the sample that [Minimal] takes, and [Bare] as it takes anything.
	AccountCreated []byte
	samples        [][]byte
}

// Keys are the ones that the organization knows.
var Keys = huaweitest.Credentials{AccessKey: "AKEXAMPLE0001", SecretKey: "SKexample0001"}

// NewOrganization makes an organization for the samples of the project whose root is given.
func NewOrganization(root string) (*Organization, error) {
	o := &Organization{Cloud: huaweitest.New(Keys)}
	o.KeepRequests(100)
	o.SetRegion(region)
	o.TrustService(service)
	o.AddAccount(account, "active")
	o.Delegate(account, service)
	files, err := filepath.Glob(filepath.Join(root, "events", "*.json"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var plain struct{ SpecVersion string }
		if json.Unmarshal(text, &plain) == nil && plain.SpecVersion != "" {
			o.samples = append(o.samples, text)
		}
		if filepath.Base(file) == "account-created.json" {
			o.AccountCreated = text
		}
	}
	if o.AccountCreated == nil {
		return nil, fmt.Errorf("%s has no sample account-created.json", root)
	}
	return o, nil
}

// Environment configures a function for the organization at an endpoint, with keys and without a
// sink.
func (o *Organization) Environment(endpoint string) map[string]string {
	return map[string]string{
		"HUAWEICLOUD_SDK_AK": Keys.AccessKey, "HUAWEICLOUD_SDK_SK": Keys.SecretKey,
		"IDENTITYCENTER_ENDPOINT": endpoint, "ORGANIZATIONS_ENDPOINT": endpoint,
		"REGION_ID": region, "TRUSTED_SERVICES": service, "ADMINISTRATORS": service + "=id:" + account,
	}
}

// settled are the outcomes that say that nothing was missing.
var settled = []string{"unchanged", "passed"}

// Duplicate finds the sample that the process answers by one of those outcomes.
func (o *Organization) Duplicate(p *Process) ([]byte, error) {
	var all error
	for _, sample := range o.samples {
		answer, _, err := p.Invoke(sample)
		var result struct{ Data struct{ Outcome string } }
		if err == nil {
			err = json.Unmarshal(answer, &result)
		}
		if err == nil && slices.Contains(settled, result.Data.Outcome) {
			return sample, nil
		}
		all = errors.Join(all, err)
	}
	return nil, fmt.Errorf("no sample is a duplicate to %s: %w", p.cmd.Path, all)
}

// Server serves a fake and counts the connections to it.
type Server struct {
	URL string
	*http.Server
	connections atomic.Int64
}

// Serve serves h on a port of its own until Close, over HTTPS if there is a certificate.
func Serve(ctx context.Context, h http.Handler, certificate ...tls.Certificate) (*Server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + listener.Addr().String()}
	s.Server = &http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, is http.ConnState) {
		if is == http.StateNew {
			s.connections.Add(1)
		}
	}}
	if certificate != nil {
		s.URL = "https://" + listener.Addr().String()
		listener = tls.NewListener(listener, &tls.Config{Certificates: certificate})
	}
	go func() { _ = s.Serve(listener) }()
	return s, nil
}

// Connections are how many were opened to the server so far.
func (s *Server) Connections() int { return int(s.connections.Load()) }

// Deployed reads from the template what the environment of every function has in every stack, with
// the memory size that it is given.
func Deployed(root string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "template.yaml"))
	if err != nil {
		return nil, err
	}
	var template struct {
		Globals struct {
			Function struct {
				MemorySize  string `yaml:"MemorySize"`
				Environment struct {
					Variables map[string]yaml.Node `yaml:"Variables"`
				} `yaml:"Environment"`
			} `yaml:"Function"`
		} `yaml:"Globals"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		return nil, err
	}
	f := template.Globals.Function
	env := map[string]string{"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": f.MemorySize}
	for name, value := range f.Environment.Variables {
		if value.Kind == yaml.ScalarNode && strings.HasPrefix(value.Tag, "!!") { // the others depend on the stack
			env[name] = value.Value
		}
	}
	return env, nil
}
