package e2e

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// service is the address that clients ask: each query goes to one of the pods
// behind it, in turn, from a port of its own.
type service struct {
	mu   sync.Mutex
	pods []string
	turn int
}

// behind is a service with pods behind it.
func behind(pods ...*pod) *service {
	s := new(service)
	for _, p := range pods {
		s.add(p)
	}
	return s
}

func (s *service) add(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = append(s.pods, p.dns)
}

func (s *service) remove(p *pod) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pods = slices.DeleteFunc(s.pods, func(addr string) bool { return addr == p.dns })
}

func (s *service) next() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn++
	return s.pods[s.turn%len(s.pods)]
}

// A load asks a service at an even pace for positive answers, until it is
// stopped, at the latest with its test. A query that has no answer in five seconds
// is asked again, as all clients do, and counted apart: a slow machine may take
// longer. It is lost if there is none then.
type load struct {
	quit chan struct{}
	done sync.WaitGroup

	mu          sync.Mutex
	sent, again int
	lost        []string
}

const (
	loadClients  = 4
	loadInterval = 10 * time.Millisecond // between two queries of a client that is answered at once
)

// startLoad asks for the names in turn.
func startLoad(t *testing.T, s *service, names ...dns.Question) *load {
	t.Helper()
	l := &load{quit: make(chan struct{})}
	begin := time.Now()
	for i := range loadClients {
		l.done.Go(func() {
			tick := time.NewTicker(loadInterval)
			defer tick.Stop()
			for n := i; ; n++ {
				select {
				case <-l.quit:
					return
				case <-tick.C:
				}
				q, addr := names[n%len(names)], s.next()
				at := time.Since(begin)
				m, err := exchangeWithin(5*time.Second, addr, q.Name, q.Qtype)
				again := err != nil
				if again {
					addr = s.next()
					m, err = exchange(addr, q.Name, q.Qtype)
				}
				if err == nil && (m.Rcode != dns.RcodeSuccess || len(m.Answer) == 0) {
					err = errors.New(dns.RcodeToString[m.Rcode] + ", or no answer")
				}
				l.mu.Lock()
				l.sent++
				if again {
					l.again++
				}
				if err != nil {
					l.lost = append(l.lost, fmt.Sprintf("%v after the start, %s %s of %s: %v", at.Round(time.Millisecond), q.Name, dns.Type(q.Qtype), addr, err))
				}
				l.mu.Unlock()
			}
		})
	}
	t.Cleanup(func() { l.end() })
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sent
}

// more waits until n more queries were answered.
func (l *load) more(t *testing.T, n int) {
	t.Helper()
	from := l.count()
	eventually(t, patience, func() error {
		if got := l.count() - from; got < n {
			return fmt.Errorf("%d queries were answered, want %d", got, n)
		}
		return nil
	})
}

func (l *load) end() {
	select {
	case <-l.quit:
	default:
		close(l.quit)
	}
	l.done.Wait()
}

// stop ends it and wants every query answered.
func (l *load) stop(t *testing.T) {
	t.Helper()
	l.end()
	t.Logf("%d queries, %d lost, %d asked again", l.sent, len(l.lost), l.again)
	for _, lost := range l.lost[:min(10, len(l.lost))] {
		t.Errorf("lost: %s", lost)
	}
	if l.sent < 500 {
		t.Errorf("%d queries, too few to tell", l.sent)
	}
}
