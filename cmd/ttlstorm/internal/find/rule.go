package find

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// Rule is a line of a Corefile for some findings.
type Rule struct {
	Line     string `json:"line"`
	Findings []int  `json:"findings"`        // by their place in the report
	Wider    bool   `json:"wider,omitempty"` // than the names, which no Corefile can hold
	If       string `json:"if,omitempty"`    // it helps only if that is the case
}

// advise adds the rules for the findings that a rule cures. floor is in seconds. Names
// that stand under one parent share a rule.
func (r *Report) advise(floor int) {
	under := map[string][]int{}
	var parents []string
	for i, n := range r.Findings {
		if !n.Cure {
			continue
		}
		p := parent(n.Name)
		if under[p] == nil {
			parents = append(parents, p)
		}
		under[p] = append(under[p], i)
	}
	r.Rules = []Rule{}
	for _, p := range parents {
		zones, options, only := map[string]bool{}, "", r.Findings[under[p][0]].If
		for _, i := range under[p] {
			zones[r.Findings[i].Name] = true
			if r.Findings[i].If == "" {
				only = ""
			}
			if r.Findings[i].Denied {
				options = fmt.Sprintf(" {\n    negative %ds\n}", floor)
			}
		}
		zone := p
		if len(zones) == 1 {
			zone = r.Findings[under[p][0]].Name
		}
		written := token(zone)
		if written == "." && zone != "." {
			continue // all names for the sake of one
		}
		r.Rules = append(r.Rules, Rule{
			Line: fmt.Sprintf("ttlfloor %ds %s%s", floor, written, options), Findings: under[p],
			Wider: dns.CountLabel(written) < dns.CountLabel(zone), If: only,
		})
	}
}

// parent is the zone above a name, or the name itself where that has too few labels for
// others under the zone to have to do with it.
func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end && dns.CountLabel(name) > 3 {
		return name[i:]
	}
	return name
}

// token writes a zone as a Corefile has it, or the next zone above it that can stand in
// one. The last dot goes, but where what is left might be taken for a number or an option.
func token(zone string) string {
	for zone != "." && strings.ContainsFunc(zone, func(r rune) bool {
		return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-_.", r)
	}) {
		i, end := dns.NextLabel(zone, 0)
		if end {
			return "."
		}
		zone = zone[i:]
	}
	if short := strings.TrimSuffix(zone, "."); strings.Contains(short, ".") {
		return short
	}
	return zone
}
