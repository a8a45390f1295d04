package aws

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"registrar/internal/awsapi"
)

// regions are those that the SDK knows, and one of each partition that it doesn't know yet.
func regions(t *testing.T) []string {
	t.Helper()
	module, err := exec.CommandContext(
		t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2").Output()
	require.NoError(t, err)
	text, err := os.ReadFile(filepath.Join(
		strings.TrimSpace(string(module)), "internal", "endpoints", "awsrulesfn", "partitions.json"))
	require.NoError(t, err)
	var known struct {
		Partitions []struct {
			ID      string
			Regions map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(text, &known))
	require.Len(t, known.Partitions, 8, "a new partition")
	var all []string
	for _, partition := range known.Partitions {
		some := ""
		for region := range partition.Regions {
			if !strings.HasSuffix(region, "-global") { // which is none
				all = append(all, region)
				some = region
			}
		}
		require.NotEmpty(t, some, partition.ID)
		words := strings.Split(some, "-")
		all = append(all, strings.Join(append(words[:len(words)-2], "nowhere", "9"), "-"))
	}
	require.Greater(t, len(all), 45)
	return all
}

func TestEachRegionHasTheEndpointsOfTheSDK(t *testing.T) {
	t.Parallel()
	for _, region := range regions(t) {
		bus, err := eventbridge.NewDefaultEndpointResolverV2().ResolveEndpoint(
			t.Context(), eventbridge.EndpointParameters{Region: &region})
		require.NoError(t, err, region)
		vault, err := secretsmanager.NewDefaultEndpointResolverV2().ResolveEndpoint(
			t.Context(), secretsmanager.EndpointParameters{Region: &region})
		require.NoError(t, err, region)
		tokens, err := sts.NewDefaultEndpointResolverV2().ResolveEndpoint(
			t.Context(), sts.EndpointParameters{Region: &region})
		require.NoError(t, err, region)
		for service, want := range map[awsapi.Service]string{
			awsapi.EventBridge: bus.URI.String(), awsapi.SecretsManager: vault.URI.String(),
			awsapi.STS: tokens.URI.String(),
		} {
			got, err := awsapi.Config{}.URL(service, region)
			require.NoError(t, err)
			assert.Equal(t, want+"/", got)
		}
	}
}
