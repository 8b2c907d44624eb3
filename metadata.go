package ttlfloor

import (
	"context"
	"strconv"
	"sync/atomic"

	"github.com/coredns/coredns/plugin/metadata"
	"github.com/coredns/coredns/request"
)

// seen is what the metadata of a query tells once the response went out. It is
// read by other plugins, who may do so at any time.
type seen struct {
	received, served atomic.Int64 // seconds plus one; 0 while there is none
	back             atomic.Int32 // comeback plus one
}

// seenIn returns what a handler stored in a context, or nil without *metadata*.
func seenIn(ctx context.Context, t *TTLFloor) *seen {
	s, _ := ctx.Value(seenKey{t}).(*seen)
	return s
}

func (s *seen) set(received, served uint32) {
	if s == nil {
		return
	}
	s.received.Store(int64(received) + 1)
	s.served.Store(int64(served) + 1)
}

func (s *seen) came(c comeback) {
	if s != nil {
		s.back.Store(int32(c) + 1) // #nosec G115 -- few
	}
}

// seenKey is the context key of a handler's seen.
type seenKey struct{ *TTLFloor }

// Metadata implements metadata.Provider: for a query that a rule applies to it
// provides ttlfloor/zone, the rule's zone, and, once a response with records
// went out, ttlfloor/received-ttl and ttlfloor/served-ttl, its lowest TTL in
// seconds before and after, and ttlfloor/return, how its client came back: kept,
// early, late or new.
func (t *TTLFloor) Metadata(ctx context.Context, state request.Request) context.Context {
	zone, _ := t.match(ctx, state.Req)
	if zone == nil {
		return ctx
	}
	s := new(seen)
	metadata.SetValueFunc(ctx, pluginName+"/zone", func() string { return zone.name })
	metadata.SetValueFunc(ctx, pluginName+"/received-ttl", func() string { return seconds(&s.received) })
	metadata.SetValueFunc(ctx, pluginName+"/served-ttl", func() string { return seconds(&s.served) })
	metadata.SetValueFunc(ctx, pluginName+"/return", func() string {
		if c := s.back.Load(); c > 0 {
			return comebackNames[c-1]
		}
		return ""
	})
	return context.WithValue(ctx, seenKey{t}, s)
}

func seconds(v *atomic.Int64) string {
	n := v.Load()
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n-1, 10)
}
