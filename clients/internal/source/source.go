// Package source is the CoreDNS that clients are measured against: its names say what
// they answer, and each query is kept with its time.
package source

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/plugin"
	_ "github.com/coredns/coredns/plugin/bind" // what the Corefile has
	_ "github.com/coredns/coredns/plugin/cache"

	"github.com/miekg/dns"
	_ "github.com/ttlfloor/ttlfloor" // of fleets
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

// Query is one that came.
type Query struct {
	At   time.Time
	Name string // lower case
	Type uint16
	TCP  bool
}

// Server is the CoreDNS, with what it was asked.
type Server struct {
	instance *caddy.Instance

	mu      sync.Mutex
	queries []Query
	started time.Time
}

// Plugins of the server: the outermost keeps what was asked, the innermost answers.
const seen, cases = "seen", "cases"

// running is the server that the plugins are in. There is one at a time.
var running *Server

func init() {
	plugin.Register(seen, func(c *caddy.Controller) error {
		s := running
		dnsserver.GetConfig(c).AddPlugin(func(next plugin.Handler) plugin.Handler { return &keeper{s, next} })
		return nil
	})
	plugin.Register(cases, func(c *caddy.Controller) error {
		s := running
		dnsserver.GetConfig(c).AddPlugin(func(plugin.Handler) plugin.Handler { return s })
		return nil
	})
}

// Start starts a CoreDNS on port 53 of an address, with directives before the one that
// answers.
func Start(address string, directives ...string) (*Server, error) {
	caddy.Quiet, dnsserver.Quiet = true, true
	log.SetOutput(io.Discard)
	if err := chain.Set(); err != nil {
		return nil, err
	}
	dnsserver.Directives = slices.Concat([]string{seen}, dnsserver.Directives, []string{cases})
	s := &Server{started: time.Now()}
	running = s
	corefile := fmt.Sprintf(".:53 {\n bind %s\n %s\n %s\n %s\n}\n", address, seen, strings.Join(directives, "\n "), cases)
	instance, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		return nil, fmt.Errorf("CoreDNS: %w", err)
	}
	s.instance = instance
	return s, nil
}

// Stop stops it.
func (s *Server) Stop() {
	_ = s.instance.Stop()
}

// Queries are those that came so far.
func (s *Server) Queries() []Query {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.queries)
}

// Began is when it was started.
func (s *Server) Began() time.Time { return s.started }

// keeper keeps queries with their times.
type keeper struct {
	s    *Server
	next plugin.Handler
}

// Name implements plugin.Handler.
func (*keeper) Name() string { return seen }

// ServeDNS implements plugin.Handler.
func (k *keeper) ServeDNS(ctx context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	q := Query{At: time.Now(), Name: strings.ToLower(r.Question[0].Name), Type: r.Question[0].Qtype, TCP: tcp}
	k.s.mu.Lock()
	k.s.queries = append(k.s.queries, q)
	k.s.mu.Unlock()
	return plugin.NextOrFailure(seen, k.next, ctx, w, r)
}

// Name implements plugin.Handler.
func (*Server) Name() string { return cases }

// ServeDNS implements plugin.Handler.
func (s *Server) ServeDNS(_ context.Context, w dns.ResponseWriter, r *dns.Msg) (int, error) {
	_, tcp := w.RemoteAddr().(*net.TCPAddr)
	m := answer(r, tcp, time.Since(s.started))
	if m == nil {
		return dns.RcodeSuccess, nil
	}
	return m.Rcode, w.WriteMsg(m)
}
