package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"registrar/internal/decisions"
	"registrar/internal/handler"
	"registrar/internal/huaweitest"
	"registrar/internal/register"
	"registrar/pkg/client"
	"registrar/pkg/events"
)

const (
	read  = "GET registered-regions"
	write = "POST register-regions"
)

// has is a cloud in which the region is registered.
func has(region string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.SetRegion(region) }
}

// refuses is a cloud that refuses to register: the given number of times, with the given status.
func refuses(times, status int) func(*huaweitest.Cloud) {
	return answers("POST", "/v1/register-regions", huaweitest.Fault{
		Times: times, Status: status, Code: "IIC.9999", Message: "for reasons",
	})
}

func answers(method, path string, fault huaweitest.Fault) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.Script(method, path, fault) }
}

// raced is a cloud in which the region was registered just after the list was read.
func raced(region string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) {
		c.SetRegion(region)
		c.Script("GET", "/v1/registered-regions", huaweitest.Fault{Status: 404, Code: "IIC.1254"})
	}
}

// contradicts answers a write by a success that holds an error.
func contradicts(when huaweitest.Stage) huaweitest.Fault {
	return huaweitest.Fault{When: when, Status: 200, Body: []byte(`{"error_code":"IIC.1216"}`)}
}

const (
	north = `{"region_id":"cn-north-4"}`
	dry   = `{"region_id":"cn-north-4","dry_run":true}`
)

var rows = map[string]decisions.Row{
	"none is registered": {
		Data: north, Want: "registered", Calls: read + ", " + write,
		State: (*huaweitest.Cloud).Region, WantState: "cn-north-4",
	},
	"it is registered": {Data: north, Cloud: has("cn-north-4"), Want: "unchanged", Calls: read},
	"another is registered": {
		Data: north, Cloud: has("cn-south-1"), Want: "rejected region_conflict", Text: "registered in cn-south-1",
		Calls: read, State: (*huaweitest.Cloud).Region, WantState: "cn-south-1",
	},

	"a dry run, none is registered": {Data: dry, Want: "planned", Calls: read},
	"a dry run, it is registered":   {Data: dry, Cloud: has("cn-north-4"), Want: "unchanged", Calls: read},
	"a dry run, another is registered": {
		Data: dry, Cloud: has("cn-south-1"), Want: "rejected region_conflict",
		Calls: read,
	},

	"it was registered between read and write": {
		Data: north, Cloud: raced("cn-north-4"), Want: "unchanged", Calls: read + ", " + write + ", " + read,
	},
	"another was registered between read and write": {
		Data: north, Cloud: raced("cn-south-1"), Want: "rejected region_conflict",
		Calls: read + ", " + write + ", " + read,
	},
	"the write worked, and its answer was lost": {
		Data: north, Cloud: answers("POST", "", huaweitest.Fault{When: huaweitest.AfterWrite, Reset: true}),
		Want: "unchanged", Calls: read + ", " + write + ", " + write + ", " + read,
	},
	"the write worked, and was answered by a refusal": {
		Data:  north,
		Cloud: answers("POST", "", huaweitest.Fault{When: huaweitest.AfterWrite, Status: 400, Code: "IIC.9999"}),
		Want:  "unchanged", Calls: read + ", " + write + ", " + read,
	},
	"refused once by a 400, and nothing explains it": {
		Data: north, Cloud: refuses(1, 400), Want: "registered",
		Calls: read + ", " + write + ", " + read + ", " + write,
	},
	"refused twice by a 400": {
		Data: north, Cloud: refuses(2, 400), Want: "rejected refused",
		Text:  "IAM Identity Center in cn-north-4: status 400 IIC.9999 for reasons",
		Calls: read + ", " + write + ", " + read + ", " + write + ", " + read,
	},
	"refused twice by a 404": {
		Data: north, Cloud: refuses(2, 404), Want: "rejected refused",
		Calls: read + ", " + write + ", " + read + ", " + write + ", " + read,
	},
	"refused by a 409, and nothing is registered": {
		Data: north, Cloud: refuses(1, 409), Want: "TransientError", Text: "409 IIC.9999 for reasons",
		Calls: read + ", " + write + ", " + read,
	},
	"refused by a 403": {
		Data: north, Cloud: refuses(1, 403), Want: "MisconfiguredError", Text: "403 IIC.9999",
		Calls: read + ", " + write,
	},
	"the write is answered by 200 and an error, and didn't work": {
		Data: north, Cloud: answers("POST", "", contradicts(huaweitest.BeforeSignature)),
		Want: "TransientError", Text: "200 IIC.1216", Calls: read + ", " + write + ", " + read,
	},
	"the write is answered by 200 and an error, and worked": {
		Data: north, Cloud: answers("POST", "", contradicts(huaweitest.AfterWrite)),
		Want: "unchanged", Calls: read + ", " + write + ", " + read,
	},
	"the write is answered by 200 and an error, and another is registered": {
		Data: north, Want: "rejected region_conflict", Calls: read + ", " + write + ", " + read,
		Cloud: func(c *huaweitest.Cloud) {
			raced("cn-south-1")(c)
			c.Script("POST", "", contradicts(huaweitest.BeforeSignature))
		},
	},
	"a gateway answers all with a code of its own": {
		Data: north, Want: "MisconfiguredError", Text: "404 no Route matched", Calls: read,
		Cloud: answers("", "", huaweitest.Fault{
			Status: 404, Body: []byte(`{"code":404,"message":"no Route matched"}`), Times: huaweitest.Forever,
		}),
	},
	"the write is answered by the page of a proxy": {
		Data:  north,
		Cloud: answers("POST", "", huaweitest.Fault{Status: 418, Body: []byte("<html>"), Times: huaweitest.Forever}),
		Want:  "TransientError", Text: "418", Calls: read + ", " + write + ", " + write + ", " + write + ", " + write,
	},
	"the read is answered by an endpoint that is wrong": {
		Data: north, Cloud: answers("GET", "", huaweitest.Fault{Status: 404, Body: []byte("<html>")}),
		Want: "MisconfiguredError", Text: "404", Calls: read,
	},
	"the read fails for a while": {
		Data: north, Cloud: answers("GET", "", huaweitest.Fault{Status: 503, Times: 2}),
		Want: "registered", Calls: read + ", " + read + ", " + read + ", " + write,
	},
	"the read is throttled": {
		Data: north, Cloud: answers("GET", "", huaweitest.Fault{Status: 429, Code: "APIGW.0308"}),
		Want: "TransientError", Text: "429", Calls: read,
	},
	"the read may not be made": {
		Data: north, Cloud: answers("GET", "", huaweitest.Fault{Status: 403, Code: "IIC.1000"}),
		Want: "MisconfiguredError", Text: "403", Calls: read,
	},
	"the list is empty, with words like those of an error in it": {
		Data: north, Want: "registered", Calls: read + ", " + write,
		Cloud: answers("GET", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"regions":[],"meta":{"code":"200","message":"ok"}}`),
		}),
	},
	"every call is answered by a success that says nothing": {
		Data: north, Want: "TransientError", Text: "it has no list of regions",
		Calls: read + ", " + read + ", " + read + ", " + read,
		Cloud: answers("", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"status":"ok"}`), Times: huaweitest.Forever,
		}),
	},
	"the list holds what can't be a region": {
		Data: north, Want: "TransientError", Calls: read + ", " + read + ", " + read + ", " + read,
		Cloud: answers("GET", "", huaweitest.Fault{
			Status: 200, Body: []byte(`{"regions":[{"region_id":"Not A Region"}]}`), Times: huaweitest.Forever,
		}),
	},
	"the read after a refusal fails": {
		Data: north, Want: "TransientError", Text: "IIC.9999",
		Calls: read + ", " + write + ", " + read + ", " + read + ", " + read + ", " + read,
		Cloud: func(c *huaweitest.Cloud) {
			refuses(1, 400)(c)
			c.Script("GET", "", huaweitest.Fault{Skip: 1, Status: 503, Times: huaweitest.Forever})
		},
	},

	"the event names no region": {Data: `{}`, Want: "skipped"},
	"the event names a region wrongly": {
		Data: `{"region_id":"Beijing"}`, Want: "rejected invalid_data", Text: `"Beijing" is not a region id`,
	},
	"the event says dry_run with a word": {
		Data: `{"region_id":"cn-north-4","dry_run":"yes"}`, Want: "rejected invalid_data",
	},
	"the data of the event isn't an object": {Data: `[]`, Want: "rejected invalid_data"},
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, config{}.Validate(), "REGION_ID: is not set")
	require.NoError(t, config{register.Region{Any: true}}.Validate())
	require.NoError(t, config{register.Region{ID: "cn-north-4"}}.Validate())
}

func TestDecisions(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "org.bootstrap", func(api *client.Client) handler.Function {
		return handler.NewFunction(events.BootstrapRegionInput(), function{api, register.Region{Any: true}}.register)
	}, rows)
}

func TestDecisionsWithinABound(t *testing.T) {
	t.Parallel()
	decisions.Run(t, "org.bootstrap", func(api *client.Client) handler.Function {
		return handler.NewFunction(events.BootstrapRegionInput(),
			function{api, register.Region{ID: "cn-north-4"}}.register)
	}, map[string]decisions.Row{
		"the event names no region":  {Data: `{}`, Want: "registered", Calls: read + ", " + write},
		"the event has no data":      {Data: `null`, Want: "registered", Calls: read + ", " + write},
		"the event names the region": {Data: north, Want: "registered", Calls: read + ", " + write},
		"the event names another one": {
			Data: `{"region_id":"cn-south-1"}`, Want: "rejected not_allowed", Text: "REGION_ID allows, cn-north-4",
		},
	})
}
