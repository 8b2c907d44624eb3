package lab

import (
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
)

// Others are those who ask beside the proxies and keep no appointment, of one
// kind. At a high rate those who ask once are what spoofed addresses look like; of
// those who ask every millisecond, 1,000 queries a second are one client.
type Others struct {
	Rate       float64       // queries a second, of all of them
	Every      time.Duration // of each, whatever the TTL; 0: each asks once, from an address never seen before or after
	Names      []string      // they ask for one of them each; nil is those of the proxies
	OneAddress bool          // they are behind the one address of proxies that are behind one
}

// other is one of them, or all who ask once.
type other struct {
	kind  *Others
	from  address
	name  string
	first time.Duration // when it asks, since the start, had its way no delay
	turn  int           // how often it has asked
}

// others adds those of a kind.
func (r *run) others(kind *Others) {
	n := 1
	if kind.Every > 0 {
		n = max(1, int(kind.Rate*kind.Every.Seconds()+0.5))
	}
	for range n {
		o := other{kind: kind, from: r.newAddress(kind), name: r.otherName(kind)}
		if kind.Every > 0 {
			o.first = time.Duration(r.beside.Int64N(int64(kind.Every)))
		}
		r.strangers = append(r.strangers, o)
		r.due.push(event{int64(r.next(&r.strangers[len(r.strangers)-1], 0)), -int32(len(r.strangers))}) // #nosec G115 -- fewer than 2^31
	}
}

func (r *run) newAddress(kind *Others) address {
	if kind.OneAddress {
		return ofProxies
	}
	r.addresses++
	return ofOthers + address(r.addresses)
}

func (r *run) otherName(kind *Others) string {
	names := kind.Names
	if names == nil {
		names = r.Names
	}
	return names[r.beside.IntN(len(names))]
}

// next returns when an other asks next. Its own clock does not drift, whatever
// its query's way takes; who asks once does so when chance will have it.
func (r *run) next(o *other, now time.Duration) time.Duration {
	if o.kind.Every == 0 {
		return now + time.Duration(r.beside.ExpFloat64()/o.kind.Rate*float64(time.Second))
	}
	at := o.first + time.Duration(o.turn)*o.kind.Every + time.Duration(r.beside.Int64N(int64(r.RoundTrip)/2+1))
	o.turn++
	return max(now, at)
}

// askOther lets an other ask what is due.
func (r *run) askOther(o *other, at time.Duration) {
	r.sleep(at)
	r.otherRecord.Query(at)
	m := serve(r.handlerFor(r.beside, r.otherNode(), o.from), query(o.name, r.qtype), r.from(o.from), false)
	if m == nil {
		r.otherRecord.Error("no response")
	} else if ttl, ok := client.Positive(m, r.qtype); ok {
		r.otherRecord.Answer(at, r.received.of(ttl))
	}
	if o.kind.Every == 0 {
		o.from, o.name = r.newAddress(o.kind), r.otherName(o.kind)
	}
}

// otherNode returns the cache that an other asks; -1 if there is none.
func (r *run) otherNode() int32 {
	if len(r.nodes) == 0 {
		return -1
	}
	return r.beside.Int32N(int32(len(r.nodes))) // #nosec G115 -- few nodes
}
