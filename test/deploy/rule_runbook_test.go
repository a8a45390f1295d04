package deploy

import (
	"regexp"
	"strings"
	"testing"
)

func TestTheRunbookKnowsEveryAlarmAndEveryRight(t *testing.T) {
	link := regexp.MustCompile(`Urgency: (at once|today|this week)\. (\S*)docs/operations\.md#([a-z-]+)$`)
	rule{
		func(s *stack, r *report) {
			url := "https://example.com/registrar/blob/main/"
			linked := s.deploy(map[string]any{"RunbookUrl": url})
			for _, id := range s.ofType("AWS::CloudWatch::Alarm") {
				found := link.FindStringSubmatch(text(s.get(id, "AlarmDescription")))
				if found == nil {
					r.want(false, "%s doesn't say how urgent it is, or where the runbook goes on", id)
					continue
				}
				r.want(found[2] == "", "%s leads to %s without RunbookUrl", id, found[2])
				found = link.FindStringSubmatch(text(linked.get(id, "AlarmDescription")))
				r.want(found[2] == url, "%s doesn't link to RunbookUrl", id)
				name := text(s.get(id, "AlarmName"))
				r.want(strings.HasSuffix(name, "-"+found[3]), "%s leads to #%s", name, found[3])
				r.want(anchors(text(s.tree["Runbook"]))[found[3]], "the runbook has no #%s", found[3])
			}
			for _, st := range s.statements() {
				for _, action := range st.Actions {
					known := strings.Contains(text(s.tree["Runbook"]), "`"+text(action)+"`")
					role := strings.Contains(st.Where, "Role ") && text(action) != "sts:AssumeRole"
					r.want(!role || known, "the runbook doesn't know %s", action)
				}
			}
		},
		map[string]func(any){
			"an alarm it doesn't know": set(needed+"ErrorsAlarm/Properties/AlarmName", "registrar-dev-trouble"),
			"an alarm that leads away": set(needed+"ErrorsAlarm/Properties/AlarmDescription", "trouble"),
			"an alarm without a link": set(needed+"ErrorsAlarm/Properties/AlarmDescription",
				"Urgency: today. See docs/operations.md"),
			"a right it doesn't know":    set(roleRights+"0/Action", []any{"sqs:PurgeQueue"}),
			"a right that isn't in it":   replace("Runbook", "`sqs:DeleteMessage`", ""),
			"an alarm that isn't in it":  replace("Runbook", "ead", ""),
			"the workflow's isn't in it": replace("Runbook", "nboarding", ""),
		},
	}.test(t)
}

// anchors are those that GitHub gives the headings of a Markdown file.
func anchors(markdown string) map[string]bool {
	found := map[string]bool{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(markdown, -1) {
		kept := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		found[strings.ReplaceAll(kept, " ", "-")] = true
	}
	return found
}
