package ttlfloor

import (
	"slices"
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

// zone is a zone that the configuration names, with its rules.
type zone struct {
	name      string
	typed     map[uint16]*rule         // by query type
	other     *rule                    // for the types not in typed; nil if there is none
	meters    atomic.Pointer[[]*meter] // of each server, so that finding one takes no lock
	observing float64                  // 1 if a rule changes nothing
}

// rule returns z's rule for a query, or nil.
func (z *zone) rule(qname string, qtype uint16) *rule {
	if r := z.typed[qtype]; r != nil && !r.except.holds(qname) {
		return r
	}
	if r := z.other; r != nil && !r.except.holds(qname) {
		return r
	}
	return nil
}

// zones finds the zones that hold a name by walking its labels, so that the
// cost does not depend on how many there are.
type zones struct {
	byName map[string]*zone
	lengths
}

func newZones(rules []*rule) zones {
	z := zones{byName: make(map[string]*zone)}
	for _, r := range rules {
		z.insert(r)
	}
	return z
}

// insert adds a rule to its zones. If one of them has a rule for one of its types
// already, or for all types as this one, it returns these and that rule.
func (z *zones) insert(r *rule) (name, types string, other *rule) {
	for _, name := range r.zones {
		in := z.byName[name]
		if in == nil {
			in = &zone{name: name, typed: make(map[uint16]*rule)}
			in.meters.Store(new([]*meter))
			z.byName[name] = in
			z.add(name)
		}
		if r.observe {
			in.observing = 1
		}
		if len(r.types) == 0 {
			if in.other != nil {
				return name, "all types", in.other
			}
			in.other = r
		}
		for _, t := range r.types {
			if in.typed[t] != nil {
				return name, dns.Type(t).String(), in.typed[t]
			}
			in.typed[t] = r
		}
	}
	return "", "", nil
}

// match returns the longest zone that has a rule for a query, and the rule; a
// rule that excepts the name is as if it were not there.
func (z *zones) match(qname string, qtype uint16) (*zone, *rule) {
	for suffix := z.next(qname, len(qname)+1); suffix != ""; suffix = z.next(qname, len(suffix)) {
		if zone := z.byName[strings.ToLower(suffix)]; zone != nil {
			if r := zone.rule(qname, qtype); r != nil {
				return zone, r
			}
		}
	}
	return nil, nil
}

// holds tells whether a name is in one of the zones.
func (z *zones) holds(qname string) bool {
	if len(z.byName) == 0 {
		return false
	}
	_, r := z.match(qname, dns.TypeNone)
	return r != nil
}

// lengths are the lengths of zones, greatest first. Only suffixes of such a length
// need to be looked up.
type lengths []int

func (l *lengths) add(zone string) {
	if !slices.Contains(*l, len(zone)) {
		*l = append(*l, len(zone))
		slices.SortFunc(*l, func(a, b int) int { return b - a })
	}
}

// next returns the longest suffix of a name that has one of the lengths below a
// length, and "" if there is none.
func (l lengths) next(name string, below int) string {
	for _, n := range l {
		switch start := len(name) - n; {
		case n >= below || start < 0:
		case start == 0, n == 1, name[start-1] == '.' && !escaped(name[:start-1]):
			return name[start:]
		}
	}
	return ""
}

// escaped tells whether what follows a part of a name is escaped: whether an odd
// number of backslashes is at its end.
func escaped(part string) bool { return (len(part)-len(strings.TrimRight(part, `\`)))%2 == 1 }
