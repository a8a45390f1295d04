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

	north = `{"region_id":"cn-north-4"}`
	dry   = `{"region_id":"cn-north-4","dry_run":true}`
)

// has is a cloud in which the region is registered.
func has(region string) func(*huaweitest.Cloud) {
	return func(c *huaweitest.Cloud) { c.SetRegion(region) }
}

// refuses is a cloud that refuses to register: the given number of times, with the given status.
func refuses(times, status int) func(*huaweitest.Cloud) {
	return decisions.Script(write, huaweitest.Fault{
		Times: times, Status: status, Code: "IIC.9999", Message: "for reasons",
	})
}

// lists is a cloud that lists this, whatever is registered.
func lists(body string) func(*huaweitest.Cloud) {
	return decisions.Script(read, huaweitest.Fault{Status: 200, Body: []byte(body), Times: huaweitest.Forever})
}

var tables = []decisions.Table{
	{Title: "What is registered", Rows: []decisions.Row{
		{
			Name: "no region",
			Data: north, Want: "registered", Calls: read + ", " + write,
			State: (*huaweitest.Cloud).Region, WantState: "cn-north-4", Built: true,
		},
		{
			Name: "the wanted region", Data: north, Cloud: has("cn-north-4"), Want: "unchanged",
			Calls: read, Built: true,
		},
		{
			Name: "another region, which is never moved: that deletes Identity Center's data",
			Data: north, Cloud: has("cn-south-1"), Want: "rejected region_conflict",
			Text:  "in the console first. cn-south-1",
			Calls: read, State: (*huaweitest.Cloud).Region, WantState: "cn-south-1", Built: true,
		},
		{
			Name: "a dry run, no region", Data: dry, Want: "planned",
			Calls: read, State: (*huaweitest.Cloud).Region, Built: true,
		},
		{Name: "a dry run, the wanted region", Data: dry, Cloud: has("cn-north-4"), Want: "unchanged", Calls: read},
		{
			Name: "a dry run, another region",
			Data: dry, Cloud: has("cn-south-1"), Want: "rejected region_conflict", Calls: read,
		},
		{
			Name: "an empty list, with words like those of an error in it",
			Data: north, Cloud: lists(`{"regions":[],"meta":{"code":"200","message":"ok"}}`),
			Want: "registered", Calls: read + ", " + write,
		},
		{
			Name: "the wanted region and another one",
			Data: north, Cloud: lists(`{"regions":[{"region_id":"cn-south-1"},{"region_id":"cn-north-4"}]}`),
			Want: "unchanged", Calls: read,
		},
		{
			Name: "what can't be a region",
			Data: north, Cloud: lists(`{"regions":[{"region_id":"Not A Region"}]}`),
			Want: "TransientError", Calls: read + ", " + read + ", " + read + ", " + read,
		},
	}},
	{Title: "When the region changes meanwhile", Rows: []decisions.Row{
		{
			Name: "somebody registers the wanted region before the write",
			Data: north, After: read, Meanwhile: has("cn-north-4"),
			Want: "unchanged", Calls: read + ", " + write + ", " + read,
		},
		{
			Name: "somebody registers another region before the write",
			Data: north, After: read, Meanwhile: has("cn-south-1"), Want: "rejected region_conflict",
			Text: "registered in cn-south-1", Calls: read + ", " + write + ", " + read,
			State: (*huaweitest.Cloud).Region, WantState: "cn-south-1",
		},
		{
			Name: "somebody registers the wanted region after the write is refused",
			Data: north, Cloud: refuses(1, 400), After: write, Meanwhile: has("cn-north-4"),
			Want: "unchanged", Calls: read + ", " + write + ", " + read,
		},
		{
			Name: "somebody registers another region after the write is refused",
			Data: north, Cloud: refuses(1, 409), After: write, Meanwhile: has("cn-south-1"),
			Want: "rejected region_conflict", Calls: read + ", " + write + ", " + read,
		},
		{
			Name: "somebody registers another region, and the write is answered by a 2xx with an error",
			Data: north, Cloud: decisions.Script(write,
				huaweitest.Fault{Status: 200, Body: []byte(`{"error_code":"IIC.1216"}`)}),
			After: write, Meanwhile: has("cn-south-1"),
			Want: "rejected region_conflict", Calls: read + ", " + write + ", " + read,
		},
		{
			Name: "the wanted region is deleted after it was read",
			Data: north, Cloud: has("cn-north-4"), After: read, Meanwhile: has(""), Want: "unchanged", Calls: read,
		},
		{
			Name: "the write is refused once, and nothing explains it",
			Data: north, Cloud: refuses(1, 400), Want: "registered",
			Calls: read + ", " + write + ", " + read + ", " + write,
			State: (*huaweitest.Cloud).Region, WantState: "cn-north-4",
		},
		{
			Name: "the write is refused twice, and nothing explains it",
			Data: north, Cloud: refuses(2, 400), Want: "rejected refused",
			Text:  "IAM Identity Center in cn-north-4: status 400 IIC.9999 for reasons",
			Calls: read + ", " + write + ", " + read + ", " + write + ", " + read, Built: true,
		},
	}},
	{Title: "Failures", Rows: []decisions.Row{
		{
			Name: "the calls are throttled",
			Data: north, Cloud: decisions.Script(read, huaweitest.Fault{Status: 429, Code: "APIGW.0308"}),
			Want: "TransientError", Text: "429 APIGW.0308", Calls: read, Built: true,
		},
		{
			Name: "the write isn't allowed",
			Data: north, Cloud: refuses(1, 403), Want: "MisconfiguredError",
			Text:  "register IAM Identity Center in cn-north-4: RegisterRegion: status 403 IIC.9999 for reasons",
			Calls: read + ", " + write, Built: true,
		},
		{
			Name: "the read after a refusal fails, and the refusal is told as well",
			Data: north, Cloud: refuses(1, 400), After: write,
			Meanwhile: decisions.Script(read, huaweitest.Fault{Status: 403}),
			Want:      "MisconfiguredError", Text: "IIC.9999", Calls: read + ", " + write + ", " + read,
		},
	}},
	{Title: "What the event asks for, if `REGION_ID` is `*`", Rows: []decisions.Row{
		{Name: "no region", Data: `{}`, Want: "skipped", Built: true},
		{
			Name: "what isn't a region",
			Data: `{"region_id":"Beijing"}`, Want: "rejected invalid_data", Text: `"Beijing" is not a region id`,
			Built: true,
		},
		{
			Name: "a dry run, by a word",
			Data: `{"region_id":"cn-north-4","dry_run":"yes"}`, Want: "rejected invalid_data",
		},
		{Name: "nothing that is an object", Data: `[]`, Want: "rejected invalid_data"},
	}},
	{
		Title: "What the event asks for, if `REGION_ID` names a region",
		Env:   map[string]string{"REGION_ID": "cn-north-4"},
		Rows: []decisions.Row{
			{Name: "no region", Data: `{}`, Want: "registered", Calls: read + ", " + write},
			{Name: "nothing, without data", Data: `null`, Want: "registered", Calls: read + ", " + write},
			{Name: "that region", Data: north, Want: "registered", Calls: read + ", " + write},
			{
				Name: "another one",
				Data: `{"region_id":"cn-south-1"}`, Want: "rejected not_allowed", Text: "REGION_ID allows, cn-north-4",
				Built: true,
			},
			{
				Name: "another one, which is registered",
				Data: `{"region_id":"cn-south-1"}`, Cloud: has("cn-south-1"), Want: "rejected not_allowed",
			},
		},
	},
}

var (
	row  = decisions.Row{Data: north, State: (*huaweitest.Cloud).Region}
	done = decisions.End{Want: "registered", State: "cn-north-4"}
)

var apiCalls = []decisions.Call{
	{
		Call: read, Row: row,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    {Want: "registered", Calls: write, State: "cn-north-4"},
			decisions.NoRegion: {Want: "registered", Calls: write, State: "cn-north-4"},
		},
	},
	{
		Call: write, Before: read, Row: row,
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    done,
			decisions.Lost:     {Want: "unchanged", Calls: read, State: "cn-north-4"},
			decisions.Refused:  {Want: "rejected refused", Calls: read + ", " + write + ", " + read},
			decisions.Conflict: {Want: "TransientError", Calls: read},
		},
	},
	{
		Call: read, When: "after a refusal", Before: read + ", " + write,
		Row: decisions.Row{Data: north, Cloud: refuses(1, 400), State: (*huaweitest.Cloud).Region},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    {Want: "registered", Calls: write, State: "cn-north-4"},
			decisions.NoRegion: {Want: "registered", Calls: write, State: "cn-north-4"},
		},
	},
	{
		Call: write, When: "once more", Before: read + ", " + write + ", " + read, Scripted: 1,
		Row: decisions.Row{Data: north, Cloud: refuses(1, 400), State: (*huaweitest.Cloud).Region},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    done,
			decisions.Lost:     {Want: "unchanged", Calls: read, State: "cn-north-4"},
			decisions.Refused:  {Want: "rejected refused", Calls: read},
			decisions.Conflict: {Want: "TransientError", Calls: read},
		},
	},
	{
		Call: read, When: "after a second refusal", Before: read + ", " + write + ", " + read + ", " + write,
		Row: decisions.Row{Data: north, Cloud: refuses(2, 400), State: (*huaweitest.Cloud).Region},
		Ends: map[decisions.Meaning]decisions.End{
			decisions.Works:    {Want: "rejected refused"},
			decisions.NoRegion: {Want: "rejected refused"},
		},
	},
}

func TestDecisions(t *testing.T) { //nolint:paralleltest // takes all lines that are logged
	decisions.Run(t, decisions.Function[config]{
		Type: "org.bootstrap", Env: map[string]string{"REGION_ID": "*"}, Tables: tables, Calls: apiCalls,
		Words: map[string]string{read: "read", write: "**write**"},
		Build: func(api *client.Client, c config) handler.Function {
			return handler.NewFunction(events.BootstrapRegionInput(), function{api, c.Region}.register)
		},
	})
}

func TestABoundIsNeverMissingSilently(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, config{}.Validate(), "REGION_ID: is not set")
	require.NoError(t, config{register.Region{Any: true}}.Validate())
	require.NoError(t, config{register.Region{ID: "cn-north-4"}}.Validate())
}
