package e2e

import (
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// exchange asks once, and does not ask again.
func exchange(addr, name string, qtype uint16) (*dns.Msg, error) {
	return exchangeWithin(patience, addr, name, qtype)
}

// exchangeWithin waits no longer than a time for the response.
func exchangeWithin(d time.Duration, addr, name string, qtype uint16) (*dns.Msg, error) {
	return exchangeFrom(nil, d, addr, name, qtype)
}

// exchangeFrom asks from an address of this machine, by which the schedule tells
// clients apart; nil leaves it to the system.
func exchangeFrom(client net.IP, d time.Duration, addr, name string, qtype uint16) (*dns.Msg, error) {
	c := dns.Client{Timeout: d, UDPSize: 4096}
	if client != nil {
		c.Dialer = &net.Dialer{Timeout: d, LocalAddr: &net.UDPAddr{IP: client}}
	}
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.SetEdns0(4096, false)
	r, _, err := c.Exchange(m, addr)
	if err == nil && r.Truncated {
		err = errors.New("truncated")
	}
	return r, err
}

// ask asks once, of one who has to answer.
func ask(t *testing.T, addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m, err := exchange(addr, name, qtype)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.Type(qtype), err)
	}
	return m
}

// content returns the RDATA of records, sorted; where they are of several types,
// with the type.
func content(rrs []dns.RR) string {
	var all []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			all = append(all, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// sections returns a message as sorted text, with TTLs or without, and the TTLs
// in the same order. The server shuffles records, and only the OPT record of a
// server is its own affair.
func sections(m *dns.Msg, withTTL bool) (text string, ttls []uint32) {
	var out strings.Builder
	h := m.MsgHdr
	h.Id = 0
	out.WriteString(h.String())
	for _, section := range [][]dns.RR{m.Answer, m.Ns, m.Extra} {
		out.WriteString("\n--")
		type record struct {
			key string
			ttl uint32
		}
		var records []record
		for _, rr := range section {
			if rr.Header().Rrtype == dns.TypeOPT {
				out.WriteString("\nOPT")
				continue
			}
			key := dns.Copy(rr)
			key.Header().Ttl = 0
			if soa, ok := key.(*dns.SOA); ok && soa.Hdr.Name != "example.org." {
				soa.Serial = 0 // in the zones of the cluster it is the time
			}
			records = append(records, record{key.String(), rr.Header().Ttl})
		}
		slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.key, b.key) })
		for _, r := range records {
			out.WriteString("\n" + r.key)
			if withTTL {
				out.WriteString(" TTL " + strconv.FormatUint(uint64(r.ttl), 10))
			}
			ttls = append(ttls, r.ttl)
		}
	}
	return out.String(), ttls
}
