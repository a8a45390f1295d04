package deploy

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestNobodySpeaksForUsAndOnlyKnownSendersMaySendIfThereAreAny(t *testing.T) {
	const (
		sender = "arn:aws:iam::123456789012:role/landing-zone"
		other  = "arn:aws:iam::210987654321:user/path/to/another"
		like   = "ForAnyValue:StringLike/events:source"
	)
	rights := "/Properties/Statement/"
	speaking := "Resources/OwnSources" + rights
	denied := "Resources/OnlySenders" + rights
	allowed := "Resources/SendersMay" + rights
	rule{
		func(s *stack, r *report) {
			known := s.deploy(map[string]any{"Senders": sender + "," + other, "EventSources": "/a,/b"})
			bounded := s.deploy(map[string]any{"Senders": sender})
			for _, deployed := range []*stack{s, known, bounded} {
				ours := []any{"OnboardingRole.Arn"}
				for id := range deployed.functions() {
					ours = append(ours, deployed.function(id, "Role"))
				}
				policies := deployed.busPolicies(r)
				r.want(len(policies) == 1 || deployed != s, "a policy that nobody asked for")
				speak := policies["OwnSources"]
				r.want(speak.Effect == "Deny", "anybody may speak for us")
				r.want(reflect.DeepEqual(speak.Condition["ForAnyValue:StringLike"],
					map[string]any{"events:source": "/registrar/*"}), "anybody may speak for some of us")
				r.want(sameItems(but(speak), ours), "but for %v, nobody may speak for us", but(speak))
				r.want(len(speak.Condition) == 3, "who may speak for us depends on more")
				if deployed == s {
					continue
				}
				senders := []any{sender}
				if deployed == known {
					senders = append(senders, other)
				}
				only, may := policies["OnlySenders"], policies["SendersMay"]
				r.want(only.Effect == "Deny", "others may send")
				r.want(sameItems(but(only), append(senders, ours...)), "but for %v, nobody may send", but(only))
				r.want(len(only.Condition) == 2, "who may not send depends on more")
				r.want(may.Effect == "Allow", "senders may not send")
				r.want(sameItems(may.Principals, senders), "%v may send", may.Principals)
				want := map[string]any{"events:detail-type": []any{"org.bootstrap", "account.created"}}
				if deployed == known {
					want["events:source"] = []any{"/a", "/b"}
				}
				r.want(reflect.DeepEqual(may.Condition, map[string]any{"StringEquals": want}),
					"what senders may send: %v", may.Condition)
			}
			for _, speak := range []statement{known.busPolicies(r)["OwnSources"], known.busPolicies(r)["OnlySenders"]} {
				service := dig(speak.Condition, "Bool", "aws:PrincipalIsAWSService")
				r.want(service == "false", "AWS itself may not replay")
			}
			for id := range known.onBus() {
				pattern := known.get(id+"Resources/Rule", "EventPattern")
				types := strings.Split(text(known.environment(id)["EVENT_TYPES"]), ",")
				for source, want := range map[string]bool{"/a": true, "/b": true, "/c": false, "/registrar/x": false} {
					matched := matches(pattern, envelope(source, types[0]))
					r.want(matched == want, "%s: takes events of %s: %v", id, source, matched)
				}
			}
			for parameter, wrong := range map[string][]string{
				"Senders": {
					"*", "123456789012", "arn:aws:iam::123456789012:root", sender + " ", "arn:aws:iam::1:role/x",
				},
				"EventSources": {"*", "/a b", "/landing-zone/*"},
			} {
				for _, v := range wrong {
					r.want(accepts(dig(s.tree["Parameters"], parameter), v) != "", "%s takes %q", parameter, v)
				}
			}
			for _, v := range []string{sender, other, sender + "," + other} {
				r.want(accepts(dig(s.tree["Parameters"], "Senders"), v) == "", "Senders doesn't take %q", v)
			}
		},
		map[string]func(any){
			"anybody as us":         drop("Resources/OwnSources"),
			"some as us":            set(speaking+"Condition/"+like, "/registrar/audit-*"),
			"anybody as us at will": set(speaking+"Effect", "Allow"),
			"a function that may not send results": func(tree any) {
				parent, _ := walk(tree, speaking+"Condition/ArnNotEquals/aws:PrincipalArn")
				roles := list(parent["aws:PrincipalArn"])
				parent["aws:PrincipalArn"] = roles[1:]
			},
			"no replays":             drop(speaking + "Condition/Bool"),
			"no replays of senders":  drop(denied + "Condition/Bool"),
			"any sender":             drop("Resources/OnlySenders"),
			"any principal of ours":  set(denied+"Principal", map[string]any{"AWS": "arn:aws:iam::1:root"}),
			"another action":         set(denied+"Action", "events:PutRule"),
			"another bus":            set(denied+"Resource", attribute("Archive", "Arn")),
			"a bus without policy":   set("Resources/SendersMay/Properties/EventBusName", "default"),
			"senders always":         drop("Resources/SendersMay/Condition"),
			"any sender may":         set(allowed+"Principal", "*"),
			"any type":               drop(allowed + "Condition/StringEquals/events:detail-type"),
			"any source by policy":   drop(allowed + "Condition/StringEquals/events:source"),
			"any source by rule":     drop(needed + "Rule/Properties/EventPattern/Fn::If/2/source"),
			"any source beside":      drop(needed + "Rule/Properties/EventPattern/Fn::If/1/$or/0/source"),
			"sources not passed on":  set("Resources/RegisterAdminResources/Properties/Parameters/EventSources", ""),
			"an account as a sender": set("Parameters/Senders/AllowedPattern", "^(arn:aws:iam::[0-9]{12}:.*)?$"),
			"a pattern as a source":  set("Parameters/EventSources/AllowedPattern", "^[^ %\\x00]*$"),
		},
	}.test(t)
}

// busPolicies are the statements of the bus's policy, by their ids.
func (s *stack) busPolicies(r *report) map[string]statement {
	found := map[string]statement{}
	for _, id := range s.ofType("AWS::Events::EventBusPolicy") {
		if condition := text(dig(s.Resources, id, "Condition")); condition != "" && !s.holds(condition) {
			continue
		}
		said := s.get(id, "Statement")
		st := statement{
			Effect: text(dig(said, "Effect")), Principals: list(dig(said, "Principal", "AWS")),
			Actions: list(dig(said, "Action")), Resources: list(dig(said, "Resource")),
			Condition: object(dig(said, "Condition")),
		}
		r.want(slices.Equal(st.Actions, []any{"events:PutEvents"}), "%s: is about %v", id, st.Actions)
		r.want(slices.Equal(st.Resources, []any{"Bus.Arn"}), "%s: is about %v", id, st.Resources)
		r.want(s.get(id, "EventBusName") == "Bus", "%s: isn't on the bus", id)
		r.want(s.get(id, "StatementId") == id, "%s: has another id", id)
		r.want((dig(said, "Principal") == "*") == (st.Effect == "Deny"), "%s: is about %v", id, dig(said, "Principal"))
		found[id] = st
	}
	return found
}

// but are the principals that a statement isn't about.
func but(st statement) []any { return list(dig(st.Condition, "ArnNotEquals", "aws:PrincipalArn")) }
