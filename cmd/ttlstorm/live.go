package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/schollz/progressbar/v3"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"golang.org/x/time/rate"
)

// live is clients that ask a server over sockets. A client that resolves a name
// is a goroutine, and each of its queries has a port of its own. Beside them may be
// others who ask once, each from an address that nobody else has.
type live struct {
	options
	name      string // of the report
	model     *client.Model
	server    string
	own       bool // each client has an address of its own
	questions []question
	source    *storm.Source // that the answers are of, if it is known
	progress  io.Writer

	begin  time.Time
	limit  *rate.Limiter
	mu     sync.Mutex
	record *storm.Record // of the clients
	beside *storm.Record // of others
}

// run lets all clients go on until the time is over or ctx is done.
func (l *live) run(ctx context.Context) (storm.Report, error) {
	l.record, l.beside = storm.NewRecord(l.length), storm.NewRecord(l.length)
	l.limit = rate.NewLimiter(rate.Limit(l.rate), max(l.rate/10, 1))
	l.begin = time.Now()
	ctx, cancel := context.WithDeadline(ctx, l.begin.Add(l.length))
	defer cancel()

	var clients sync.WaitGroup
	for i := range l.clients {
		r := rand.New(rand.NewPCG(l.seed, uint64(i))) // #nosec G115 G404 -- not negative; chance, not a secret
		start := time.Duration(r.Int64N(int64(l.start) + 1))
		for n, q := range l.questions {
			r := rand.New(rand.NewPCG(r.Uint64(), uint64(n))) // #nosec G115 G404 -- the same
			clients.Go(func() { l.resolve(ctx, q, l.from(i), start, r) })
		}
	}
	if l.others > 0 {
		clients.Go(func() { l.strangers(ctx, &clients) })
	}
	l.show(ctx)
	clients.Wait()
	took := min(time.Since(l.begin), l.length)
	upstream := 0
	if l.source != nil {
		upstream = l.source.Queries()
	}
	report := l.record.Report(l.name, took, upstream)
	if l.others > 0 {
		report.Beside(l.record, l.beside)
	}
	return report, nil
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
			m, kind := l.exchange(ctx, from, q.name, c.Query())
			if kind == "" && m.Rcode != dns.RcodeSuccess {
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

// show keeps a line of progress until ctx is done.
func (l *live) show(ctx context.Context) {
	bar := progressbar.NewOptions64(int64(l.length/time.Second), progressbar.OptionSetWriter(l.progress),
		progressbar.OptionSetDescription(l.name), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(),
		progressbar.OptionThrottle(200*time.Millisecond), progressbar.OptionSetPredictTime(false))
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			_ = bar.Finish()
			return
		case <-tick.C:
			l.mu.Lock()
			queries, failed := l.record.Queries()+l.beside.Queries(), l.record.Errors()+l.beside.Errors()
			l.mu.Unlock()
			bar.Describe(progressLine(l.name, queries, failed))
			_ = bar.Set64(int64(time.Since(l.begin) / time.Second))
		}
	}
}

// resolve is one client that resolves one name.
func (l *live) resolve(ctx context.Context, q question, from netip.Addr, start time.Duration, r *rand.Rand) {
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
		m, kind := l.exchange(ctx, from, q.name, due)
		if l.over(ctx) {
			break
		}
		version = l.note(due, m, kind, version)
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

// note records what a client got, and returns the version of the source that it
// has now.
func (l *live) note(due client.Query, m *dns.Msg, kind string, version int) int {
	at := time.Since(l.begin)
	l.mu.Lock()
	defer l.mu.Unlock()
	if kind != "" {
		l.record.Error(kind)
		return version
	}
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

// exchange asks once, and says what went wrong if no response came that answers
// the query.
func (l *live) exchange(ctx context.Context, from netip.Addr, name string, due client.Query) (*dns.Msg, string) {
	q := new(dns.Msg).SetQuestion(name, due.Type)
	c := dns.Client{Timeout: client.Timeout, Dialer: &net.Dialer{Timeout: client.Timeout}}
	local := netip.AddrPortFrom(from, 0)
	switch {
	case due.TCP && from.IsValid():
		c.Net, c.Dialer.LocalAddr = "tcp", net.TCPAddrFromAddrPort(local)
	case due.TCP:
		c.Net = "tcp"
	case from.IsValid():
		c.Dialer.LocalAddr = net.UDPAddrFromAddrPort(local)
	}
	m, _, err := c.ExchangeContext(ctx, q, l.server)
	var netErr net.Error
	kind := ""
	switch {
	case err == nil && !m.Response, err == nil && !slices.Equal(m.Question, q.Question):
		kind = "wrong answer"
	case err == nil:
		return m, ""
	case errors.Is(err, syscall.ECONNREFUSED):
		kind = "refused"
	case errors.As(err, &netErr) && netErr.Timeout():
		kind = "timeout"
	case errors.As(err, &netErr):
		kind = "network"
	default:
		kind = "wrong answer"
	}
	return nil, kind
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

func progressLine(name string, queries, failed int) string {
	return fmt.Sprintf("%s: %d queries, %d errors", name, queries, failed)
}
