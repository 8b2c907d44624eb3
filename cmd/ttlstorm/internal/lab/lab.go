// Package lab runs clients against CoreDNS's plugins in virtual time, within a
// bubble of testing/synctest. There is no goroutine per client: a million of
// them fit in one process, and the same seed gives the same run to the last
// query.
package lab

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing/synctest"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/cache" // the treatments
	_ "github.com/coredns/coredns/plugin/rewrite"
	"github.com/coredns/coredns/plugin/test"

	"github.com/miekg/dns"
	_ "github.com/ttlfloor/ttlfloor" // one more treatment
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"github.com/ttlfloor/ttlfloor/internal/chance"
)

// Run is one run of clients against a treatment.
type Run struct {
	Clients int
	Names   []string // each client resolves all of them
	Type    uint16   // asked first; 0 leaves it to the model
	Model   *client.Model
	Start   time.Duration // within which all clients start
	Length  time.Duration
	Seed    uint64

	Treatment storm.Treatment
	Source    *storm.Source
	Replicas  int           // that queries go to at random; 0 is one
	PerNode   int           // clients that share a cache on their node; 0 is none
	Node      []string      // directives of that cache
	RoundTrip time.Duration // mean; drawn from half of it to one and a half

	Join    []Join
	Leave   time.Duration // since the start, when every third client goes; 0 is never
	Restart time.Duration // since the start, when all servers start again, with nothing; 0 is never
}

// Join is more clients that come within 20 ms.
type Join struct {
	At      time.Duration // since the start
	Clients int
}

// Result is what a run came to.
type Result struct {
	storm.Report
	Record *storm.Record
	Least  float64 // queries that the clients had made at least: one per mean TTL, from start to end
}

// resolver is a client that resolves one name.
type resolver struct {
	client.Client
	last    int64 // when its last resolution began, in nanoseconds since the start; -1 if none did
	version int32 // of the answer that it has; -1 if none
	name    uint16
	node    int32 // its cache; -1 if none
	leaves  bool
	begins  bool // its next query is the first of a resolution
}

type run struct {
	Run
	start    time.Time
	rand     *rand.Rand
	replicas []plugin.Handler
	nodes    []plugin.Handler
	clients  []resolver
	due      queue
	record   *storm.Record
	lifetime time.Duration
}

// Do does a run. It must be called in a bubble of synctest. An error is that of
// a directive.
func Do(cfg Run) (Result, error) {
	r := &run{Run: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 0x7174c)), record: storm.NewRecord(cfg.Length)} // #nosec G404 -- the same run for the same seed
	// The schedule's seconds begin when it is made, and the clients somewhere
	// within one.
	if err := r.servers(); err != nil {
		return Result{}, err
	}
	time.Sleep(time.Duration(r.rand.Int64N(int64(time.Second))))
	r.start = time.Now()
	r.Source.Start()
	r.join(Join{0, cfg.Clients}, cfg.Start)
	for _, j := range cfg.Join {
		r.join(j, 20*time.Millisecond)
	}
	for r.due.len() > 0 {
		e := r.due.top()
		if e.at >= int64(r.Length) {
			break
		}
		if r.Restart > 0 && e.at >= int64(r.Restart) {
			r.Restart, r.replicas, r.nodes = 0, nil, nil
			if err := r.servers(); err != nil {
				return Result{}, err
			}
		}
		c := &r.clients[e.client]
		if c.leaves && e.at >= int64(r.Leave) {
			r.due.pop()
			continue
		}
		r.due.setTop(e.at + int64(r.ask(c, time.Duration(e.at))))
	}
	r.sleep(r.Length)
	r.end()
	rep := r.record.Report(cfg.Treatment.Name, cfg.Length, r.Source.Queries())
	res := Result{Report: rep, Record: r.record}
	if rep.MeanTTL > 0 {
		res.Least = float64(r.lifetime) / float64(time.Second) / rep.MeanTTL
	}
	return res, nil
}

// servers makes the handlers that the clients ask.
func (r *run) servers() error {
	for range max(r.Replicas, 1) {
		h, err := chain(r.Treatment.Directives, r.Source, r.rand)
		if err != nil {
			return err
		}
		r.replicas = append(r.replicas, h)
	}
	if r.PerNode == 0 {
		return nil
	}
	cluster := plugin.HandlerFunc(func(_ context.Context, w dns.ResponseWriter, q *dns.Msg) (int, error) {
		// What a packet would: nothing is shared, the context least of all.
		m := serve(r.replicas[r.rand.IntN(len(r.replicas))], q)
		if m == nil {
			return dns.RcodeServerFailure, errors.New("no response")
		}
		m = m.Copy()
		return m.Rcode, w.WriteMsg(m)
	})
	for range (r.Clients + r.PerNode - 1) / r.PerNode {
		h, err := chain(r.Node, cluster, r.rand)
		if err != nil {
			return err
		}
		r.nodes = append(r.nodes, h)
	}
	return nil
}

// chain makes the handlers of directives with the setup functions that CoreDNS
// would.
func chain(directives []string, next plugin.Handler, r *rand.Rand) (plugin.Handler, error) {
	for _, directive := range slices.Backward(directives) {
		c := caddy.NewTestController("dns", directive)
		c.ServerBlockKeys = []string{"."}
		var name string
		if _, err := fmt.Sscan(directive, &name); err != nil {
			return nil, fmt.Errorf("directive %q: %w", directive, err)
		}
		c.Set(chance.Key{}, r.Uint32N)
		setup, err := caddy.DirectiveAction("dns", name)
		if err != nil {
			return nil, err
		}
		if err := setup(c); err != nil {
			return nil, err
		}
		plugins := dnsserver.GetConfig(c).Plugin
		next = plugins[len(plugins)-1](next)
	}
	return next, nil
}

// join adds clients that start within a time.
func (r *run) join(j Join, within time.Duration) {
	for i := range j.Clients {
		node := int32(-1)
		if r.PerNode > 0 {
			node = int32(i / r.PerNode % len(r.nodes)) // #nosec G115 -- few nodes
		}
		at := j.At + time.Duration(r.rand.Int64N(int64(within)))
		for name := range r.Names {
			r.clients = append(r.clients, resolver{
				Client: r.Model.New(r.Type, r.rand), last: -1, version: -1, begins: true,
				name: uint16(name), node: node, leaves: r.Leave > 0 && i%3 == 0, // #nosec G115 -- few names
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
	h := r.handler(c)
	m := serve(h, query(r.Names[c.name], q.Type))
	trip := r.RoundTrip/2 + time.Duration(r.rand.Int64N(int64(r.RoundTrip)+1))
	r.note(c, q, m, at+trip)
	wait := c.Done(m)
	c.begins = c.Begins()
	if m == nil {
		return client.Timeout + wait
	}
	return trip + wait
}

func (r *run) handler(c *resolver) plugin.Handler {
	if c.node >= 0 {
		return r.nodes[c.node]
	}
	return r.replicas[r.rand.IntN(len(r.replicas))]
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
	r.record.Response(ttl)
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

// serve asks a handler as CoreDNS's server does: a plugin that has not written
// leaves that to the server.
func serve(h plugin.Handler, q *dns.Msg) *dns.Msg {
	var w writer
	rcode, _ := h.ServeDNS(context.Background(), &w, q)
	if w.msg == nil && !plugin.ClientWrite(rcode) {
		return new(dns.Msg).SetRcode(q, rcode)
	}
	return w.msg
}

// writer keeps the response.
type writer struct {
	test.ResponseWriter
	msg *dns.Msg
}

// WriteMsg implements dns.ResponseWriter.
func (w *writer) WriteMsg(m *dns.Msg) error {
	w.msg = m
	return nil
}

func query(name string, qtype uint16) *dns.Msg {
	return &dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: 1, RecursionDesired: true},
		Question: []dns.Question{{Name: name, Qtype: qtype, Qclass: dns.ClassINET}},
	}
}
