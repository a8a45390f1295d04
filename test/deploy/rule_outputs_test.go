package deploy

import "testing"

func TestPeopleAreToldWhereThingsAre(t *testing.T) {
	rule{
		func(s *stack, r *report) {
			for output, want := range map[string]string{
				"BusName": "Bus", "BusArn": "Bus.Arn", "ArchiveArn": "Archive.Arn", "CredentialsSecret": "Credentials",
				"OnboardingArn": "Onboarding", "AlarmTopicArn": "AlarmTopic",
			} {
				r.want(s.eval(dig(s.tree["Outputs"], output, "Value")) == want, "no output %s", output)
			}
			r.want(dig(s.tree["Outputs"], "DashboardsUrl", "Value") != nil, "no output DashboardsUrl")
			for id := range s.functions() {
				output := dig(s.tree["Outputs"], id+"RoleArn")
				r.want(s.eval(dig(output, "Value")) == s.get(id, "Role"), "no output %sRoleArn", id)
				r.want(dig(output, "Condition") == nil, "%sRoleArn: is told too late for a trust policy", id)
			}
			for _, given := range []map[string]any{nil, ownSecret, byToken} {
				deployed := s.deploy(given)
				told := deployed.holds(text(dig(s.tree["Outputs"], "CredentialsSecret", "Condition")))
				made := deployed.holds(text(dig(s.tree["Resources"], "Credentials", "Condition")))
				r.want(told == made, "given %v: tells of a secret that isn't there, or doesn't of one that is", given)
			}
			for name, output := range object(s.tree["Outputs"]) {
				r.want(text(dig(output, "Description")) != "", "%s: says nothing", name)
			}
		},
		map[string]func(any){
			"not the bus":      drop("Outputs/BusName"),
			"another topic":    set("Outputs/AlarmTopicArn/Value", map[string]any{"Ref": "Bus"}),
			"not what it is":   drop("Outputs/DashboardsUrl/Description"),
			"not the workflow": drop("Outputs/OnboardingArn"),
			"not a role":       drop("Outputs/AuditOrganizationRoleArn"),
			"another role":     set("Outputs/RegisterAdminRoleArn/Value", theOthers("RoleArn")),
			"a role too late":  set("Outputs/RegisterAdminRoleArn/Condition", "HasOidc"),
			"no such secret":   drop("Outputs/CredentialsSecret/Condition"),
		},
	}.test(t)
}
