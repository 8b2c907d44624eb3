// Package records copies resource records with another TTL, in a number of
// allocations that does not depend on how many there are.
package records

import (
	"reflect"
	"slices"

	"github.com/miekg/dns"
)

// Message copies a message and its sections to out, but not the records in them.
// The sections share one array, which leaves room for the OPT and TSIG records
// that the server may append.
func Message(out, m *dns.Msg) {
	*out = *m
	a, n := len(m.Answer), len(m.Answer)+len(m.Ns)
	all := make([]dns.RR, n+len(m.Extra), n+len(m.Extra)+2)
	out.Answer, out.Ns, out.Extra = all[:a:a], all[a:n:n], all[n:]
	copy(out.Answer, m.Answer)
	copy(out.Ns, m.Ns)
	copy(out.Extra, m.Extra)
}

// Copier copies records, RDATA shared. Those of one type and section go into one
// array, so that the number of allocations depends on the types alone.
type Copier struct {
	a     slab[dns.A]
	aaaa  slab[dns.AAAA]
	cname slab[dns.CNAME]
	ns    slab[dns.NS]
	ptr   slab[dns.PTR]
	rrsig slab[dns.RRSIG]
	soa   slab[dns.SOA]
	srv   slab[dns.SRV]
	other others
}

// Copy copies to into the first records of from that are alike in type and TTL, at
// most so many, gives them a TTL in seconds, and returns how many there were: one
// at least. from must not be empty, nor begin with nil, and into must be as long.
func (c *Copier) Copy(into, from []dns.RR, most int, ttl uint32) int {
	switch from[0].(type) {
	case *dns.A:
		return run(&c.a, into, from, most, ttl)
	case *dns.AAAA:
		return run(&c.aaaa, into, from, most, ttl)
	case *dns.CNAME:
		return run(&c.cname, into, from, most, ttl)
	case *dns.NS:
		return run(&c.ns, into, from, most, ttl)
	case *dns.PTR:
		return run(&c.ptr, into, from, most, ttl)
	case *dns.RRSIG:
		return run(&c.rrsig, into, from, most, ttl)
	case *dns.SOA:
		return run(&c.soa, into, from, most, ttl)
	case *dns.SRV:
		return run(&c.srv, into, from, most, ttl)
	}
	into[0] = c.other.copy(from)
	into[0].Header().Ttl = ttl
	return 1
}

// slab is an array of records of one type that is used up from the front.
type slab[T any] []T

// pointer is a pointer to a record's struct, which is the record.
type pointer[T any] interface {
	*T
	dns.RR
}

func run[T any, P pointer[T]](s *slab[T], into, from []dns.RR, most int, ttl uint32) int {
	if len(*s) == 0 {
		n := 0
		for _, rr := range from {
			if _, ok := rr.(P); ok {
				n++
			}
		}
		*s = make([]T, n)
	}
	first, n := from[0].Header(), 0
	for _, rr := range from[:most] {
		p, ok := rr.(P)
		if !ok || n == len(*s) || p.Header().Ttl != first.Ttl || p.Header().Rrtype != first.Rrtype {
			break
		}
		out := P(&(*s)[n])
		*out = *p
		out.Header().Ttl = ttl
		into[n] = out
		n++
	}
	*s = (*s)[n:]
	return n
}

// others does the same, one by one, for the types that are rare enough to be
// copied by reflection: slower than dns.Copy, but with as few allocations.
type others []array

type array struct {
	records reflect.Value // a slice
	used    int
}

func (o *others) copy(from []dns.RR) dns.RR {
	v := reflect.ValueOf(from[0])
	if v.Kind() != reflect.Pointer {
		return dns.Copy(from[0])
	}
	free := o.of(v.Type().Elem(), from)
	out := free.records.Index(free.used)
	free.used++
	out.Set(v.Elem())
	rr := out.Addr().Interface().(dns.RR)
	if rr.Header() == from[0].Header() { // a type that keeps it behind a pointer
		return dns.Copy(from[0])
	}
	return rr
}

// of returns an array of a type that has room, a new one for those of the records.
func (o *others) of(t reflect.Type, from []dns.RR) *array {
	i := slices.IndexFunc(*o, func(a array) bool { return a.records.Type().Elem() == t && a.used < a.records.Len() })
	if i >= 0 {
		return &(*o)[i]
	}
	n := 0
	for _, rr := range from {
		if reflect.TypeOf(rr) == reflect.PointerTo(t) {
			n++
		}
	}
	*o = append(*o, array{records: reflect.MakeSlice(reflect.SliceOf(t), n, n)})
	return &(*o)[len(*o)-1]
}
