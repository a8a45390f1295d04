package events_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/events"
)

// The cases of both tests are those of the public test suite of JSON Schema, and some more.

func TestATimeIsWhatAJSONSchemaCallsADateTime(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{ // in UTC; empty if it is refused
		"1963-06-19T08:30:06.283185Z":          "1963-06-19T08:30:06.283185Z",
		"1963-06-19T08:30:06Z":                 "1963-06-19T08:30:06Z",
		"1937-01-01T12:00:27.87+00:20":         "1937-01-01T11:40:27.87Z",
		"1990-12-31T15:59:50.123-08:00":        "1990-12-31T23:59:50.123Z",
		"1998-12-31T23:59:60Z":                 "1999-01-01T00:00:00Z",
		"1998-12-31T15:59:60.123-08:00":        "1999-01-01T00:00:00.123Z",
		"1998-12-31T23:59:61Z":                 "",
		"1998-12-31T23:58:60Z":                 "",
		"1998-12-31T22:59:60Z":                 "",
		"1998-12-31T23:60:60Z":                 "",
		"1990-02-31T15:59:59.123-08:00":        "",
		"1990-12-31T15:59:59-24:00":            "",
		"1963-06-19T08:30:06.28123+01:00Z":     "",
		"1990-12-31T24:00:00Z":                 "",
		"1990-12-31T15:60:00Z":                 "",
		"1990-12-31T10:00:00+10:60":            "",
		"06/19/1963 08:30:06 PST":              "",
		"1963-06-19t08:30:06.283185z":          "1963-06-19T08:30:06.283185Z",
		"2013-350T01:01:01":                    "",
		"1963-6-19T08:30:06.283185Z":           "",
		"1963-06-1T08:30:06.283185Z":           "",
		"1963-06-1৪T00:00:00Z":                 "",
		"1963-06-11T0৪:00:00Z":                 "",
		"+11963-06-19T08:30:06.283185Z":        "",
		"1985-04-12T23:20:50+01":               "",
		"2016-12-31T24:59:60+01:00":            "",
		"1985-04-12T00:59:59.999999999999999Z": "1985-04-12T00:59:59.999999999Z",
		"1985-04-12T3:20:50Z":                  "",
		"1985-04-12T23:20:50,5Z":               "",
		"1985-04-12 23:20:50Z":                 "",
		"2016-12-31T23:59:60":                  "",
		"2016-12-31T23:59:60.Z":                "",
	} {
		envelope, err := events.Unwrap([]byte(with(t, members{"time": quoted(text)})))
		require.NoError(t, err)
		if r := envelope.Records[0]; want == "" {
			assert.ErrorContains(t, r.Err, "time: must be like", text)
		} else if assert.NoError(t, r.Err, text) {
			assert.Equal(t, want, r.Event.Time.UTC().Format(time.RFC3339Nano), text)
		}
	}
}

func TestALeapSecondThatNeverWasIsNoTimeOfAnEnvelope(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"1998-12-31T22:59:60Z", "1998-02-31T23:59:60Z", "1998-12-31T25:59:60Z"} {
		envelope, err := events.Unwrap([]byte(`{"id":"1","source":"s","detail-type":"t","time":"` + text +
			`","detail":{"specversion":"1.0","id":"1","source":"/s","type":"org.bootstrap"}}`))
		require.NoError(t, err)
		assert.Zero(t, envelope.Records[0].Event.Time, text)
	}
}

func TestASourceIsAURIReference(t *testing.T) {
	t.Parallel()
	for text, taken := range map[string]bool{
		"http://foo.bar/?baz=qux#quux":    true,
		"//foo.bar/?baz=qux#quux":         true,
		"/abc":                            true,
		`\WINDOWS\fileshare`:              false,
		"abc":                             true,
		"#fragment":                       true,
		`#frag\ment`:                      false,
		"/foobar®.txt":                    false,
		`https://example.org/foobar\.txt`: false,
		"http://087.10.0.1/":              true,
		"http://999.999.999.999/":         true,
		"?query=1":                        true,
		"//":                              true,
		"/%zz":                            false,
		`/a"b`:                            false,
		"/[::1]":                          false,
		"//example.com:abc/p":             false,
		"//a@b@example.com/":              false,
		"//[::ffff:192.168.0.01]/p":       false,
		"1:b":                             false,
		"./this:that":                     true,

		"//[v1.fe]/p":                true,
		"//[::1]:80/p":               true,
		"http://u:p@[fe80::1]":       true,
		"//[1.2.3.4]/":               false,
		"//[fe80::1%25eth0]/":        false,
		"//[::1/":                    false,
		"urn:uuid:8f3c":              true,
		"a:a:a":                      true,
		"mailto:someone@example.com": true,
		":b":                         false,
		"http:":                      true,
		"http:///p":                  true,
		"/?%z":                       false,
		"/#a#b":                      false,
		"/a//b;c=d,e":                true,
		"%41:":                       false,
		"1:/b":                       false,
		"a/b:c":                      true,
		"?a:b":                       true,
		"/é":                         false,
	} {
		envelope, err := events.Unwrap([]byte(with(t, members{"source": quoted(text)})))
		require.NoError(t, err)
		if r := envelope.Records[0]; taken {
			assert.NoError(t, r.Err, text)
		} else {
			assert.ErrorContains(t, r.Err, "source: must be a URI-reference", text)
		}
	}
	assert.True(t, events.IsURIReference(""), "though a source must not be empty")
}
