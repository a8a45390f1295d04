package events

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What takes JSON apart must agree with encoding/json, which takes more copies of it.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		` { "a" : 1 , "b\"}" : [ "]" , {"c":"\\"} ] , "" : null } `, `{"a":-1e5,"b":true,"c":"\u0000\\"}`,
		`{}`, ` [ ] `,
		`[1,2.5,"x,y",[[]],{"a":{}},null]`, `[0,0`, `{"a":1,"a":2}`, `{"\ud800":1}`, "{\"\xff\":1}", `"x"`, `5`, ``,
		"\ufeff{}", `{"a":0}{}`, "[\"\u2028\"]", `["\\\"",""]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		unmarked := bytes.TrimPrefix(b, []byte(byteOrderMark))
		var members map[string]json.RawMessage
		o, err := parseObject(string(b))
		wrong := json.Unmarshal(unmarked, &members)
		if err == nil {
			require.NoError(t, wrong)
			require.Len(t, o, len(members))
			for name, value := range members {
				assert.Equal(t, string(value), string(o[name]), name)
			}
		}
		var all []json.RawMessage
		var elements []value
		v, err := parse(string(b))
		if err == nil {
			elements, err = v.array(len(b))
		}
		wrong = json.Unmarshal(unmarked, &all)
		assert.Equal(t, wrong == nil && all != nil && utf8.Valid(b), err == nil)
		if err == nil {
			require.Len(t, elements, len(all))
			for i := range all {
				assert.Equal(t, string(all[i]), string(elements[i]))
			}
		}
	})
}

func TestALongArrayIsReadToOneMoreThanItMayHave(t *testing.T) {
	t.Parallel()
	elements, err := value(`[0,1,2,3,4]`).array(2)
	require.NoError(t, err)
	assert.Len(t, elements, 3)
}
