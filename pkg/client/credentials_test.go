package client_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/pkg/client"
)

func TestSecretsShowUnderNoVerb(t *testing.T) {
	t.Parallel()
	const secret = "SKexample"
	creds := client.Credentials{AccessKey: secret, SecretKey: secret, SecurityToken: secret}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%10.3s", "%T %v"} {
		fmt.Fprintf(&out, verb+"\n", creds)
		fmt.Fprintf(&out, verb+"\n", &creds)
		fmt.Fprintf(&out, verb+"\n", creds.SecretKey)
	}
	encoded, err := json.Marshal(creds)
	require.NoError(t, err)
	out.Write(encoded)
	for _, h := range []slog.Handler{slog.NewJSONHandler(&out, nil), slog.NewTextHandler(&out, nil)} {
		slog.New(h).Info("creds", "key", creds.SecretKey, "all", creds)
	}
	assert.NotContains(t, out.String(), secret)
	assert.NotContains(t, out.String(), fmt.Sprintf("%x", secret))
	assert.NotContains(t, out.String(), fmt.Sprintf("%X", secret))
	assert.Contains(t, out.String(), "[redacted]")
}

func TestSecretsThatCantBeAHeaderAreRefusedWithoutShowingThem(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"SKexample\n", " SKexample", "SKex\tample", "SKexämple", "SK\x00"} {
		var s client.Secret
		err := s.UnmarshalText([]byte(text))
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "SK")
		var d client.DomainID
		require.Error(t, d.UnmarshalText([]byte(text)))
	}
}
