// Package client has models of programs that resolve a name, go on with the
// answer for its TTL, and resolve it again, for ever: what they ask, and how long
// they wait. A model is a state machine that knows neither sockets nor clocks,
// so that the same one asks real servers and runs in virtual time.
package client

import (
	"math/rand/v2"
	"time"

	"github.com/miekg/dns"
)

// Timeout is how long a client waits for a response. It is the default of the
// resolvers that the modelled programs use.
const Timeout = 5 * time.Second

// attempts is how often a query is sent before its lookup has failed.
const attempts = 2

// Query is what a client asks for next, of the name that it resolves.
type Query struct {
	Type uint16
	TCP  bool
}

// Client is one client that resolves one name. It is not safe for concurrent
// use.
type Client struct {
	model *Model
	rand  *rand.Rand
	qtype uint16 // asked first; 0 if the model decides

	stage, index  uint8 // of the query that is due, in the model's stages
	tcp           bool
	sent          uint8  // how often this query was sent before
	found, denied bool   // of the lookups of this resolution
	ttl, negative uint32 // the least of those that were found and denied, in seconds
	failures      uint8  // resolutions that failed since the last one that did not
}

// New returns a client that behaves as m does. It asks for qtype first, or for
// what m asks for if that is 0. It draws from r.
func (m *Model) New(qtype uint16, r *rand.Rand) Client {
	return Client{model: m, qtype: qtype, rand: r}
}

// Query returns the query that is due.
func (c *Client) Query() Query {
	types := c.types()
	return Query{Type: types[c.index], TCP: c.tcp}
}

// Begins tells whether the query that is due is the first of a resolution.
func (c *Client) Begins() bool { return c.stage == 0 && c.index == 0 && c.sent == 0 && !c.tcp }

// types are those of the lookups of this stage.
func (c *Client) types() []uint16 {
	if c.stage == 0 && c.qtype != 0 {
		return []uint16{c.qtype}
	}
	return c.model.stages[c.stage]
}

// last tells whether there is no stage after this one: other types are asked
// for only after those that the model begins with.
func (c *Client) last() bool {
	return int(c.stage) == len(c.model.stages)-1 || c.qtype != 0 && c.qtype != c.model.stages[0][0]
}

// Done takes the response to the query that was due, or nil if none came within
// Timeout, and returns how long the client waits until the next one is due.
func (c *Client) Done(m *dns.Msg) time.Duration {
	switch {
	case m == nil && c.sent+1 < attempts:
		c.sent++
		return 0
	case m != nil && m.Truncated && !c.tcp:
		c.tcp = true
		return 0
	}
	types := c.types()
	c.take(m, types[c.index])
	c.sent, c.tcp = 0, false
	if c.index++; int(c.index) < len(types) {
		return 0
	}
	c.index = 0
	if !c.found && !c.last() {
		c.stage++
		return 0
	}
	wait := c.wait()
	c.stage, c.found, c.denied = 0, false, false
	return wait
}

// take notes what a lookup came to.
func (c *Client) take(m *dns.Msg, qtype uint16) {
	if m == nil {
		return
	}
	if ttl, ok := Positive(m, qtype); ok {
		if !c.found || ttl < c.ttl {
			c.ttl = ttl
		}
		c.found = true
		return
	}
	if ttl, ok := negativeTTL(m); ok {
		if !c.denied || ttl < c.negative {
			c.negative = ttl
		}
		c.denied = true
	}
}

// wait is how long the client waits after a resolution.
func (c *Client) wait() time.Duration {
	switch {
	case c.found:
		c.failures = 0
		return c.model.success(c.ttl, c.rand)
	case c.denied && c.model.denial != nil:
		c.failures = 0
		return c.model.denial(c.negative, c.rand)
	}
	c.failures = min(c.failures+1, 30)
	return c.model.failure(int(c.failures), c.rand)
}

// Positive returns how long, in seconds, a client goes on with a response to a
// query for qtype, and whether the response has an answer at all: the least TTL
// of the records of that type and of the CNAMEs on the way to them. Records of
// other types and sections do not count.
func Positive(m *dns.Msg, qtype uint16) (ttl uint32, ok bool) {
	if m.Rcode != dns.RcodeSuccess {
		return 0, false
	}
	ttl = 1<<32 - 1
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Rrtype == qtype || h.Rrtype == dns.TypeCNAME {
			ttl = min(ttl, h.Ttl)
			ok = ok || h.Rrtype == qtype
		}
	}
	return ttl, ok
}

// negativeTTL is how long a client keeps a negative answer, in seconds, and
// whether that is said (RFC 2308 section 5).
func negativeTTL(m *dns.Msg) (uint32, bool) {
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		return 0, false
	}
	for _, rr := range m.Ns {
		if soa, ok := rr.(*dns.SOA); ok {
			return min(soa.Hdr.Ttl, soa.Minttl), true
		}
	}
	return 0, false
}
