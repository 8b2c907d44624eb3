// Package lab runs clients against CoreDNS's plugins in virtual time, within a
// bubble of testing/synctest. There is no goroutine per client: a million of
// them fit in one process, and the same seed gives the same run to the last
// query.
package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing/synctest"
	"time"

	"github.com/coredns/coredns/plugin"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// Run is one run of clients against a treatment.
type Run struct {
	Clients int
	Names   []string // each client resolves all of them, from an address of its own
	Type    uint16   // asked first; 0 leaves it to the model
	Model   *client.Model
	Start   time.Duration   // within which all clients start
	At      []time.Duration // since the start, when each client does; nil leaves it to Start
	Length  time.Duration
	Seed    uint64

	Treatment storm.Treatment
	Source    *storm.Source
	Replicas  int           // that queries go to at random; 0 is one
	Sticky    bool          // the queries from an address go to one of them, as they do to that of a node
	Second    []string      // directives of another server that clients ask as well, of whose answer they take every other; nil is none
	PerNode   int           // clients that share a cache on their node; 0 is none
	Node      []string      // directives of that cache
	RoundTrip time.Duration // mean; drawn from half of it to one and a half

	Others     []Others
	OneAddress bool    // all clients are behind one
	Lost       float64 // share of the responses to clients that do not reach them
	Truncated  bool    // responses do not fit into a datagram, so that clients ask again over TCP

	Join    []Join
	Leave   time.Duration // since the start, when every third client goes; 0 is never
	Restart time.Duration // since the start, when all servers start again, with nothing; 0 is never
	Reload  time.Duration // since the start, when all servers reload their configuration, which is as before; 0 is never

	Booked func(at, next time.Duration) // is told when a client asks, and when it will again; nil is nobody
}

// Join is more clients that come within 20 ms.
type Join struct {
	At      time.Duration // since the start
	Clients int
}

// Result is what a run came to.
type Result struct {
	storm.Report
	Record *storm.Record // of the clients
	Others *storm.Record
	Least  float64 // queries that the clients had made at least: one per mean TTL, from start to end
}

// resolver is a client that resolves one name.
type resolver struct {
	client.Client
	last    int64 // when its last resolution began, in nanoseconds since the start; -1 if none did
	version int32 // of the answer that it has; -1 if none
	name    uint16
	node    int32 // its cache; -1 if none
	from    address
	leaves  bool
	begins  bool // its next query is the first of a resolution
}

type run struct {
	Run
	start     time.Time
	rand      *rand.Rand
	processes []*process // replicas, and then nodes
	replicas  []*process // that queries go to
	nodes     []*process
	second    *process // nil if there is none
	clients   []resolver
	due       queue
	record    *storm.Record
	lifetime  time.Duration

	// What is beside the clients has a chance of its own, so that they do the same
	// with it and without as far as they can.
	beside      *rand.Rand
	strangers   []other
	otherRecord *storm.Record
	addresses   uint32 // of others, so far
	joined      uint32 // clients so far
	qtype       uint16 // that others ask for, the first that clients do
	received    received
}

// Do does a run. It must be called in a bubble of synctest. An error is that of
// a directive.
func Do(cfg Run) (Result, error) {
	r, err := newRun(cfg)
	if err != nil {
		return Result{}, err
	}
	defer r.stop()
	return r.do()
}

// newRun makes a run, and starts its servers.
func newRun(cfg Run) (*run, error) {
	r := &run{
		Run: cfg, record: storm.NewRecord(cfg.Length), otherRecord: storm.NewRecord(cfg.Length),
		rand:   rand.New(rand.NewPCG(cfg.Seed, 0x7174c)), // #nosec G404 -- the same run for the same seed
		beside: rand.New(rand.NewPCG(cfg.Seed, 0x0ce35)), // #nosec G404
	}
	if err := r.servers(); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *run) do() (Result, error) {
	// The schedule's seconds begin when it is made, and the clients somewhere
	// within one.
	time.Sleep(time.Duration(r.rand.Int64N(int64(time.Second))))
	r.start = time.Now()
	r.Source.Start()
	r.join(Join{0, r.Clients}, r.Start)
	for _, j := range r.Join {
		r.join(j, 20*time.Millisecond)
	}
	first := r.Model.New(r.Type, nil)
	r.qtype = first.Query().Type
	for i := range r.Others {
		r.others(&r.Others[i])
	}
	for r.due.len() > 0 {
		e := r.due.top()
		if e.at >= int64(r.Length) {
			break
		}
		if err := r.change(time.Duration(e.at)); err != nil {
			return Result{}, err
		}
		if e.client < 0 {
			o := &r.strangers[-1-e.client]
			r.askOther(o, time.Duration(e.at))
			r.due.setTop(int64(r.next(o, time.Duration(e.at))))
			continue
		}
		c := &r.clients[e.client]
		if c.leaves && e.at >= int64(r.Leave) {
			r.due.pop()
			continue
		}
		next := e.at + int64(r.ask(c, time.Duration(e.at)))
		if r.Booked != nil {
			r.Booked(time.Duration(e.at), time.Duration(next))
		}
		r.due.setTop(next)
	}
	r.sleep(r.Length)
	r.end()
	rep := r.record.Report(r.Treatment.Name, r.Length, r.Source.Queries())
	res := Result{Report: rep, Record: r.record, Others: r.otherRecord}
	if rep.MeanTTL > 0 {
		res.Least = float64(r.lifetime) / float64(time.Second) / rep.MeanTTL
	}
	return res, nil
}

// change does what is to be done to the servers by a time.
func (r *run) change(at time.Duration) error {
	if r.Restart > 0 && at >= r.Restart {
		r.Restart = 0
		r.stop()
		if err := r.servers(); err != nil {
			return err
		}
	}
	if r.Reload > 0 && at >= r.Reload {
		r.sleep(r.Reload)
		r.Reload = 0
		for _, p := range r.processes {
			if err := p.reload(); err != nil {
				return err
			}
		}
	}
	return nil
}

// servers starts the servers that the clients ask.
func (r *run) servers() error {
	for range max(r.Replicas, 1) {
		p, err := r.server(r.Treatment.Directives, r.Source)
		if err != nil {
			return err
		}
		r.replicas = append(r.replicas, p)
	}
	if r.Second != nil {
		p, err := r.server(r.Second, r.Source)
		if err != nil {
			return err
		}
		r.second = p
	}
	if r.PerNode == 0 {
		return nil
	}
	for node := range (r.Clients + r.PerNode - 1) / r.PerNode {
		own := ofNodes + address(node) // #nosec G115 -- few nodes
		from := r.from(own)
		cluster := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
			// What a packet would: nothing is shared, the context least of all.
			m := serve(r.handlerFor(r.rand, -1, own), q, from, true)
			if m == nil {
				return dns.RcodeServerFailure, errors.New("no response")
			}
			m = m.Copy()
			return m.Rcode, w.WriteMsg(m)
		})
		p, err := r.server(r.Node, cluster)
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, p)
	}
	return nil
}

// server starts a server.
func (r *run) server(directives []string, below plugin.Handler) (*process, error) {
	p := &process{directives: directives, below: below, draw: r.rand.Uint32N}
	p.beneath = func(next plugin.Handler) plugin.Handler { return probe{next, &r.received} }
	if err := p.start(); err != nil {
		return nil, err
	}
	r.processes = append(r.processes, p)
	return p, nil
}

// stop ends all servers.
func (r *run) stop() {
	for _, p := range r.processes {
		p.stop()
	}
	r.processes, r.replicas, r.nodes = nil, nil, nil
}

// join adds clients that start within a time.
func (r *run) join(j Join, within time.Duration) {
	for i := range j.Clients {
		node := int32(-1)
		if r.PerNode > 0 {
			node = int32(i / r.PerNode % len(r.nodes)) // #nosec G115 -- few nodes
		}
		at := j.At + time.Duration(r.rand.Int64N(int64(within)))
		if int(r.joined) < len(r.At) {
			at = r.At[r.joined]
		}
		from := ofProxies
		if !r.OneAddress {
			from += address(r.joined)
		}
		r.joined++
		for name := range r.Names {
			r.clients = append(r.clients, resolver{
				Client: r.Model.New(r.Type, r.rand), last: -1, version: -1, begins: true,
				name: uint16(name), node: node, from: from, leaves: r.Leave > 0 && i%3 == 0, // #nosec G115 -- few names
			})
			r.due.push(event{int64(at), int32(len(r.clients) - 1)}) // #nosec G115 -- fewer than 2^31
			r.lifetime += r.Length - at
			if r.Leave > 0 && i%3 == 0 {
				r.lifetime -= r.Length - r.Leave
			}
		}
	}
}

// ask lets a client ask what is due, and returns how long it is until its next
// query arrives.
func (r *run) ask(c *resolver, at time.Duration) time.Duration {
	r.sleep(at)
	q := c.Query()
	r.record.Query(at)
	if c.begins {
		if c.last >= 0 {
			r.record.Gap(at - time.Duration(c.last))
		}
		c.last, c.begins = int64(at), false
	}
	m := serve(r.handlerFor(r.rand, c.node, c.from), query(r.Names[c.name], q.Type), r.from(c.from), q.TCP)
	if r.second != nil {
		if other := serve(r.second.handler, query(r.Names[c.name], q.Type), r.from(c.from), q.TCP); r.beside.IntN(2) == 0 {
			m = other
		}
	}
	trip := r.RoundTrip/2 + time.Duration(r.rand.Int64N(int64(r.RoundTrip)+1))
	switch {
	case r.Lost > 0 && r.beside.Float64() < r.Lost:
		m = nil
	case r.Truncated && !q.TCP && m != nil:
		m = truncate(m)
	}
	r.note(c, q, m, at+trip)
	wait := c.Done(m)
	c.begins = c.Begins()
	if m == nil {
		return client.Timeout + wait
	}
	return trip + wait
}

// handlerFor returns what one asks who has a node, or -1, and an address.
func (r *run) handlerFor(chance *rand.Rand, node int32, from address) plugin.Handler {
	if node >= 0 {
		return r.nodes[node].handler
	}
	i := chance.IntN(len(r.replicas))
	if r.Sticky {
		i = int(from) % len(r.replicas)
	}
	return r.replicas[i].handler
}

// from returns an address with a port that is a query's own.
func (r *run) from(a address) netip.AddrPort {
	return a.port(uint16(1024 + r.beside.Uint32N(1<<16-1024))) // #nosec G115 -- in range
}

// note records what a client got at a time.
func (r *run) note(c *resolver, q client.Query, m *dns.Msg, at time.Duration) {
	if m == nil {
		r.record.Error("no response")
		return
	}
	ttl, ok := client.Positive(m, q.Type)
	if !ok {
		if m.Rcode != dns.RcodeSuccess {
			r.record.Error(dns.RcodeToString[m.Rcode])
		}
		return
	}
	r.record.Answer(at, r.received.of(ttl))
	if v := int32(storm.VersionOf(m)); v > c.version { // #nosec G115 -- few changes
		if c.version >= 0 {
			r.record.Stale(max(0, at-r.Source.Removed(int(c.version))))
		}
		c.version = v
	}
}

// end counts those that still go on with a removed endpoint.
func (r *run) end() {
	for _, c := range r.clients {
		if c.leaves || c.version < 0 {
			continue
		}
		if over := r.Length - r.Source.Removed(int(c.version)); r.Source.Change > 0 && over > 0 {
			r.record.Stale(over)
		}
	}
}

// sleep lets time go on, and what runs beside it finish.
func (r *run) sleep(at time.Duration) {
	synctest.Wait()
	if d := time.Until(r.start.Add(at)); d > 0 {
		time.Sleep(d)
	}
}
