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
			for name, output := range object(s.tree["Outputs"]) {
				r.want(text(dig(output, "Description")) != "", "%s: says nothing", name)
			}
		},
		map[string]func(any){
			"not the bus":      drop("Outputs/BusName"),
			"another topic":    set("Outputs/AlarmTopicArn/Value", map[string]any{"Ref": "Bus"}),
			"not what it is":   drop("Outputs/DashboardsUrl/Description"),
			"not the workflow": drop("Outputs/OnboardingArn"),
		},
	}.test(t)
}
