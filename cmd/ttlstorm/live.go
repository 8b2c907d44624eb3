package main

import (
	"context"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"golang.org/x/time/rate"
)

// live is clients that ask a server over sockets. A client that resolves a name
// is a goroutine, and each of its queries has a port of its own. Beside them may be
// others who ask once, each from an address that nobody else has.
type live struct {
	load
	transport
	name      string // of the report
	model     *client.Model
	server    string
	own       bool // each client has an address of its own
	questions []question
	source    *storm.Source     // that the answers are of, if it is known
	compare   *storm.Comparison // that the run is a part of, if it is

	begin  time.Time
	limit  *rate.Limiter
	mu     sync.Mutex
	record *storm.Record // of the clients
	beside *storm.Record // of others
}

// prepare makes what a run counts in.
func (l *live) prepare() {
	l.record, l.beside = storm.NewRecord(l.length), storm.NewRecord(l.length)
}

// soFar returns how many queries there were, and how many failed.
func (l *live) soFar() (queries, failed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.record.Queries() + l.beside.Queries(), l.record.Errors() + l.beside.Errors()
}

// run lets all clients go on until the time is over or ctx is done, once it is prepared.
func (l *live) run(ctx context.Context) storm.Report {
	l.limit = rate.NewLimiter(rate.Limit(l.rate), max(l.rate/10, 1))
	l.begin = time.Now()
	ctx, cancel := context.WithDeadline(ctx, l.begin.Add(l.length))
	defer cancel()

	var clients sync.WaitGroup
	askers := make([]*asker, 0, l.clients)
	for i := range l.clients {
		a := l.asker(l.server, l.from(i))
		askers = append(askers, a)
		r := rand.New(rand.NewPCG(l.seed, uint64(i))) // #nosec G115 G404 -- not negative; chance, not a secret
		start := time.Duration(r.Int64N(int64(l.start) + 1))
		for n, q := range l.questions {
			r := rand.New(rand.NewPCG(r.Uint64(), uint64(n))) // #nosec G115 G404 -- the same
			clients.Go(func() { l.resolve(ctx, q, a, start, r) })
		}
	}
	if l.others > 0 {
		clients.Go(func() { l.strangers(ctx, &clients) })
	}
	clients.Wait()
	for _, a := range askers {
		a.close()
	}
	took := min(time.Since(l.begin), l.length)
	upstream := 0
	if l.source != nil {
		upstream = l.source.Queries()
	}
	report := l.record.Report(l.name, took, upstream)
	report.Run = l.params()
	if l.others > 0 {
		report.Beside(l.record, l.beside)
	}
	return report
}

// params are what the run was told.
func (l *live) params() *storm.Params {
	names := make([]string, 0, len(l.questions))
	for _, q := range l.questions {
		names = append(names, q.String())
	}
	return &storm.Params{
		Version: versionOf(), Began: l.begin, Server: l.server, Protocol: l.proto, TLSName: l.tlsName, Insecure: l.insecure,
		BufSize: uint16(l.bufsize), DO: l.do, Names: names, Model: l.model.Name, Clients: l.clients, Others: l.others, // #nosec G115 -- at most 65535
		Length: l.length, Start: l.start, Rate: l.rate, Seed: l.seed, Compare: l.compare,
	}
}

// from is the address of a client, by its number; the zero one leaves it to the system.
func (l *live) from(n int) netip.Addr {
	if !l.own {
		return netip.Addr{}
	}
	return addressOf(n)
}

// strangers has those ask who ask once. They come by chance, as independent programs
// do, and each has the next address behind those of the clients.
func (l *live) strangers(ctx context.Context, all *sync.WaitGroup) {
	r := rand.New(rand.NewPCG(l.seed, 1<<63)) // #nosec G404 -- chance, not a secret; no client's
	var due time.Duration
	for n := 0; ; n++ {
		due += time.Duration(r.ExpFloat64() / float64(l.others) * float64(time.Second))
		if !sleep(ctx, due-time.Since(l.begin)) || !l.allow(ctx, l.beside) {
			return
		}
		q, from := l.questions[r.IntN(len(l.questions))], l.from(l.clients+n%(addresses-l.clients))
		c := l.model.New(q.qtype, nil)
		l.mu.Lock()
		l.beside.Query(time.Since(l.begin))
		l.mu.Unlock()
		all.Go(func() {
			a := l.asker(l.server, from)
			defer a.close()
			m, err := a.ask(ctx, q.name, c.Query())
			kind := ""
			switch {
			case err != nil:
				kind = kindOf(err)
			case m.Rcode != dns.RcodeSuccess:
				kind = dns.RcodeToString[m.Rcode]
			}
			if kind != "" && !l.over(ctx) {
				l.mu.Lock()
				l.beside.Error(kind)
				l.mu.Unlock()
			}
		})
	}
}

// over tells whether the run is. What a query on its way comes to is then not known;
// its socket may have had the deadline before ctx.
func (l *live) over(ctx context.Context) bool {
	return ctx.Err() != nil || time.Since(l.begin) >= l.length
}

// allow waits until -rate lets a query go, and tells whether ctx is not done.
func (l *live) allow(ctx context.Context, of *storm.Record) bool {
	if l.limit.Allow() {
		return true
	}
	l.mu.Lock()
	of.Error("held back by -rate")
	l.mu.Unlock()
	return l.limit.Wait(ctx) == nil
}

// resolve is one client that resolves one name.
func (l *live) resolve(ctx context.Context, q question, a *asker, start time.Duration, r *rand.Rand) {
	c := l.model.New(q.qtype, r)
	version, last := -1, time.Duration(-1)
	for wait := start; sleep(ctx, wait); {
		if !l.allow(ctx, l.record) {
			break
		}
		at := time.Since(l.begin)
		l.mu.Lock()
		l.record.Query(at)
		if c.Begins() {
			if last >= 0 {
				l.record.Gap(at - last)
			}
			last = at
		}
		l.mu.Unlock()
		due := c.Query()
		m, err := a.ask(ctx, q.name, due)
		if l.over(ctx) {
			break
		}
		version = l.note(due, m, err, time.Since(l.begin)-at, version)
		if m == nil { // for all that it knows, the response may still come
			sleep(ctx, client.Timeout-(time.Since(l.begin)-at))
		}
		wait = c.Done(m)
	}
	if l.source != nil && version >= 0 {
		if over := time.Since(l.begin) - l.source.Removed(version); over > 0 && l.source.Change > 0 {
			l.mu.Lock()
			l.record.Stale(over)
			l.mu.Unlock()
		}
	}
}

// note records what a client got, and how long it waited for it, and returns the version
// of the source that it has now.
func (l *live) note(due client.Query, m *dns.Msg, err error, took time.Duration, version int) int {
	at := time.Since(l.begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil {
		l.record.Error(kindOf(err))
		return version
	}
	l.record.Latency(took)
	ttl, ok := client.Positive(m, due.Type)
	if !ok {
		if m.Rcode != dns.RcodeSuccess {
			l.record.Error(dns.RcodeToString[m.Rcode])
		}
		return version
	}
	l.record.Response(ttl)
	if l.source == nil {
		return version
	}
	v := storm.VersionOf(m)
	if v > version && version >= 0 {
		l.record.Stale(max(0, at-l.source.Removed(version)))
	}
	return max(v, version)
}

// sleep waits, and tells whether ctx is not done.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
