package deploy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What functions read from their environment and the template doesn't set, and why, but for AWS's
// own variables. A name after a function is about that function alone.
var notInTemplate = map[string]string{
	"HUAWEICLOUD_SDK_AK":             "it is in the secret",
	"HUAWEICLOUD_SDK_SK":             "it is in the secret",
	"HUAWEICLOUD_SDK_SECURITY_TOKEN": "it is in the secret",
	"HUAWEICLOUD_SDK_DOMAIN_ID":      "it is in the secret",
	"HUAWEICLOUD_OIDC_PROVIDER_URN":  "by default there is a secret",
	"HUAWEICLOUD_OIDC_AGENCY_URN":    "by default there is a secret",
	"HUAWEICLOUD_OIDC_AUDIENCE":      "by default there is a secret",
	"HUAWEICLOUD_OIDC_TOKEN_FILE":    "the token comes from AWS",
	"HUAWEICLOUD_AGENCY_URN":         "by default the key itself signs the calls",
	"HUAWEICLOUD_SDK_STS_ENDPOINT":   "by default there are no temporary credentials",
	"HUAWEICLOUD_SESSION_POLICY":     "by default there are no temporary credentials",
	"SERVICE_PRINCIPALS":             "ADMINISTRATORS says more",
	"audit-organization EVENT_TYPES": "its schedule sends org.audit",
	"EVENT_SOURCE":                   "the rules and the roles know results by its default",
	"K_SINK":                         "RESULT_SINK goes first",
	"K_SERVICE":                      "Knative sets it",
	"RUNTIME_API_ADDR":               "FunctionGraph sets it",
	"RUNTIME_TIMEOUT":                "FunctionGraph sets it",
	"HOST":                           "it is for servers",
	"PORT":                           "it is for servers",
	"HTTP_PROXY":                     "functions in AWS need none",
	"HTTPS_PROXY":                    "functions in AWS need none",
	"NO_PROXY":                       "functions in AWS need none",
	"http_proxy":                     "functions in AWS need none",
	"https_proxy":                    "functions in AWS need none",
	"no_proxy":                       "functions in AWS need none",
}

// What Go reads.
var runtimes = []string{"GOMAXPROCS", "SSL_CERT_DIR"}

func TestFunctionsAreToldWhatTheyReadAndNothingElse(t *testing.T) {
	known, err := variables()
	own := "Resources/RegisterAdmin/Properties/Environment/Variables/"
	rule{
		func(s *stack, r *report) {
			r.want(err == nil, "%v", err)
			for id, function := range s.functions() {
				told := s.environment(id)
				for name := range known[function] {
					_, set := told[name]
					why := notInTemplate[name] + notInTemplate[function+" "+name]
					if strings.HasPrefix(name, "AWS_") {
						why = "Lambda sets what is needed"
					}
					r.want(!set || why == "", "%s: %s is set, although %s", id, name, why)
					r.want(set || why != "", "%s: %s isn't set", id, name)
				}
				off := with(byAgency, "SessionPolicy", "off")
				for _, deployed := range []*stack{s, s.deploy(byToken), s.deploy(off)} {
					for variable, value := range deployed.environment(id) {
						if slices.Contains(runtimes, variable) {
							continue
						}
						byDefault, ok := known[function][variable]
						r.want(ok, "%s: doesn't read %s", id, variable)
						r.want(byDefault == "" || fmt.Sprint(value) == byDefault,
							"%s: %s is %v, by default it is %s", id, variable, value, byDefault)
					}
				}
				declared := dig(s.tree["Resources"], id, "Properties", "Environment", "Variables")
				for variable, v := range object(declared) {
					r.want(object(v) != nil, "%s: %s is fixed, not a parameter", id, variable)
				}
			}
		},
		map[string]func(any){
			"one that is left out":  drop(own + "ACCOUNT_READY_WITHIN"),
			"one that is misspelt":  set("Globals/Function/Environment/Variables/DRYRUN", "true"),
			"one of another":        set(own+"REGION_ID", "cn-north-4"),
			"a key of AWS":          set("Globals/Function/Environment/Variables/AWS_ACCESS_KEY_ID", "AKEXAMPLE"),
			"a key":                 set("Globals/Function/Environment/Variables/HUAWEICLOUD_SDK_SK", "secret"),
			"another default":       set("Parameters/MaxAttempts/Default", 5),
			"another STS":           set("Parameters/StsEndpoint/Default", "https://sts.example"),
			"a region that is open": set("Resources/RegisterRegion/Properties/Environment/Variables/REGION_ID", ""),
			"administrators fixed":  set(own+"ADMINISTRATORS", "service.HSS=id:1"),
			"a bound said twice":    set(own+"SERVICE_PRINCIPALS", map[string]any{"Ref": "TrustedServices"}),
			"a type of the audit": set("Resources/AuditOrganization/Properties/Environment/Variables/EVENT_TYPES",
				map[string]any{"Ref": "AccountEventTypes"}),
			"an audit without rules": drop(
				"Resources/AuditOrganization/Properties/Environment/Variables/ADMINISTRATORS"),
		},
	}.test(t)
}

// A second thread for Go costs time, and is of no use to a function with less than one processor.
func TestFunctionsHaveOneThreadWhileTheyHaveLessThanOneProcessor(t *testing.T) {
	const processor = 1769 // MB of memory that come with one
	rule{
		func(s *stack, r *report) {
			for id := range s.functions() {
				memory, told := number(s.function(id, "MemorySize")), s.environment(id)
				one := fmt.Sprint(told["GOMAXPROCS"]) == "1"
				r.want(one == (memory < processor), "%s: GOMAXPROCS is %v with %v MB", id, told["GOMAXPROCS"], memory)
				r.want(told["SSL_CERT_DIR"] == "/var/empty", "%s: Go reads all certificates twice", id)
			}
		},
		map[string]func(any){
			"as many as Go likes":   drop("Globals/Function/Environment/Variables/GOMAXPROCS"),
			"two":                   set("Globals/Function/Environment/Variables/GOMAXPROCS", 2),
			"much memory":           set("Globals/Function/MemorySize", 2048),
			"certificates in links": drop("Globals/Function/Environment/Variables/SSL_CERT_DIR"),
		},
	}.test(t)
}
