package ttlfloor

import (
	"iter"
	"slices"

	"github.com/coredns/caddy"
)

// handlers returns those of the instances that Caddy has.
func handlers() iter.Seq[*TTLFloor] {
	return func(yield func(*TTLFloor) bool) {
		for _, instance := range caddy.Instances() {
			instance.StorageMu.RLock()
			all, _ := instance.Storage[instanceKey{}].([]*TTLFloor)
			instance.StorageMu.RUnlock()
			for _, t := range all {
				if !yield(t) {
					return
				}
			}
		}
	}
}

// inherit gives the rules of a handler the schedules of those in another instance that
// they take the place of, so that a reload does not bring a herd back. Both use them
// until the old instance has ended.
func (t *TTLFloor) inherit(siblings []*TTLFloor) {
	for old := range handlers() {
		if slices.Contains(siblings, old) || old.block != t.block || old.view != t.view || !slices.ContainsFunc(t.servers, old.serves) {
			continue
		}
		for _, r := range t.rules {
			if i := slices.IndexFunc(old.rules, r.follows); i >= 0 {
				r.schedule = old.rules[i].schedule
			}
		}
	}
}

// follows tells whether a rule is for the same queries as an old one, in the same
// numbers. What its clients are used to is the same then.
func (r *rule) follows(old *rule) bool {
	return r.policy == old.policy && slices.Equal(r.zones, old.zones) && slices.Equal(r.types, old.types)
}

// serves tells whether a server is among those of a handler.
func (t *TTLFloor) serves(server string) bool { return slices.Contains(t.servers, server) }
