package ttlfloor

import (
	"context"
	"reflect"

	"github.com/coredns/coredns/plugin"
	"github.com/coredns/coredns/request"

	"github.com/miekg/dns"
)

// innerKey is the context key of lookups that a *cache* will store the result of.
type innerKey struct{}

// mark stands directly below a *cache*, in a server block with a rule or without,
// and marks the queries that it asks. Were the lookups that plugins below make
// for a part of their answer floored or jittered, *cache* would store the result
// and hand it to everyone. Those of *dns64* and *siit*, outside, are not marked.
type mark struct {
	plugin.Handler
	zones plugin.Zones // of *cache*
}

// ServeDNS implements plugin.Handler.
func (m mark) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	if state := (request.Request{Req: r}); m.zones.Contains(state.Name()) {
		ctx = context.WithValue(ctx, innerKey{}, true)
	}
	return m.Handler.ServeDNS(ctx, w, r)
}

// markBelow puts a mark below a *cache*, once. It does so by reflection, since to
// import *cache* is to register it, which no other one of that name survives.
func markBelow(cache plugin.Handler) {
	v := reflect.Indirect(reflect.ValueOf(cache))
	if v.Kind() != reflect.Struct || !v.FieldByName("Next").CanSet() || !v.FieldByName("Zones").CanSet() {
		return
	}
	next, _ := reflect.TypeAssert[*plugin.Handler](v.FieldByName("Next").Addr())
	zones, _ := reflect.TypeAssert[[]string](v.FieldByName("Zones"))
	if next == nil || *next == nil {
		return
	}
	if _, done := (*next).(mark); !done {
		*next = mark{*next, zones}
	}
}
