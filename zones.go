package ttlfloor

import (
	"strings"
	"sync/atomic"

	"github.com/miekg/dns"
)

// zone is a zone that the configuration names, with its rules.
type zone struct {
	name   string
	typed  map[uint16]*rule         // by query type
	other  *rule                    // for the types not in typed; nil if there is none
	meters atomic.Pointer[[]*meter] // of each server, so that finding one takes no lock
}

// observes tells whether a rule of the zone changes nothing.
func (z *zone) observes() bool {
	for _, r := range z.typed {
		if r.observe {
			return true
		}
	}
	return z.other != nil && z.other.observe
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
	for suffix := z.next(qname, false); suffix != ""; suffix = z.next(suffix, true) {
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
	_, r := z.match(qname, dns.TypeNone)
	return r != nil
}

// lengths is the set of the lengths that zones have: the suffixes of a name that
// have others need not be looked up. A name of 255 octets that are written as
// \DDD has up to 1004 characters.
type lengths [16]uint64

func (l *lengths) add(zone string) { l[len(zone)/64] |= 1 << (len(zone) % 64) }

func (l *lengths) has(suffix string) bool {
	n := len(suffix)
	return n < 64*len(l) && l[n/64]&(1<<(n%64)) != 0
}

// next returns the longest suffix of a name that has one of the lengths, or the
// longest below the name itself, and "" if there is none. It is a plain loop and
// no iterator, whose frames would make the stack of a query grow.
func (l *lengths) next(name string, below bool) string {
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if (off > 0 || !below) && l.has(name[off:]) {
			return name[off:]
		}
	}
	if l.has(".") && name != "." {
		return "."
	}
	return ""
}
