package decisions

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"
	"sync/atomic"
	"testing/iotest"

	"registrar/internal/huaweitest"
)

// marked is the header of answers that a transport changes.
const marked = "X-Changed"

// transport is a cloud with the network before it, which spoils an answer.
type transport struct {
	*huaweitest.Cloud
	Answer

	lists atomic.Int32
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.Cloud.RoundTrip(r)
	switch {
	case t.Err != nil && errors.Is(err, io.EOF):
		return nil, t.Err
	case err != nil || resp.Header.Get(marked) == "":
		return resp, err
	case t.Cut:
		whole, _ := io.ReadAll(resp.Body)
		resp.Body = io.NopCloser(io.MultiReader(
			bytes.NewReader(whole[:len(whole)/2]), iotest.ErrReader(io.ErrUnexpectedEOF)))
	case t.List != nil:
		key := strings.ReplaceAll(path.Base(r.URL.Path), "-", "_")
		items, marker := t.List(int(t.lists.Add(1)))
		resp.Body = io.NopCloser(strings.NewReader(fmt.Sprintf(
			`{%q:%s,"page_info":{"next_marker":%q}}`, key, items, marker)))
	}
	return resp, nil
}
