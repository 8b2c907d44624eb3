// Client is the program in the pods of the tests. It looks names up as the application does
// that it is built as: with the resolver of Go, or built with cgo with that of libc.
//
//	client pause
//	client ask -names www.example.org.,kubernetes.default -every 50ms
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

func main() {
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	switch {
	case len(os.Args) > 1 && os.Args[1] == "pause":
		<-end.Done()
	case len(os.Args) > 1 && os.Args[1] == "ask":
		if err := ask(end, os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	default:
		fmt.Fprintln(os.Stderr, "usage: client pause|ask")
		os.Exit(2)
	}
}

// Said is what a client has to say of its lookups since it was started.
type Said struct {
	Lookups int
	Failed  []string        // what went wrong, with its time
	Slow    []time.Duration // how long lookups of a second and more took
	Socket  []string        // what went wrong of queries that all went out of one socket
	Late    int             // those of them that were answered when they were sent a third time
	Resolv  string          // its /etc/resolv.conf
}

// asker looks names up.
type asker struct {
	mu   sync.Mutex
	said Said
}

// ask looks up until the end, and says at port 8000 what came of it.
func ask(end context.Context, args []string) error {
	flags := flag.NewFlagSet("ask", flag.ContinueOnError)
	names := flags.String("names", "", "what to look up, with commas in between")
	every := flags.Duration("every", 50*time.Millisecond, "time between two lookups of a worker")
	workers := flags.Int("workers", 4, "how many look up at a time")
	if err := flags.Parse(args); err != nil {
		return err
	}
	a := new(asker)
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		return err
	}
	a.said.Resolv = string(resolv)
	all := strings.Split(*names, ",")
	for i := range *workers {
		go a.work(end, *every, all, i) // #nosec G118 -- a lookup takes as long as the resolver lets it
	}
	go func() { // #nosec G118 -- as above
		if err := a.oneSocket(end, *every, all[0]); end.Err() == nil {
			a.mu.Lock()
			a.said.Socket = append(a.said.Socket, err.Error())
			a.mu.Unlock()
		}
	}()
	server := &http.Server{Addr: ":8000", Handler: a, ReadHeaderTimeout: time.Minute}
	context.AfterFunc(end, func() { _ = server.Close() })
	if err := server.ListenAndServe(); end.Err() == nil {
		return err
	}
	return nil
}

// work looks up names in turn, from the one at an index on.
func (a *asker) work(end context.Context, every time.Duration, names []string, i int) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for ; ; i++ {
		select {
		case <-end.Done():
			return
		case <-tick.C:
		}
		name := names[i%len(names)]
		begin := time.Now()
		_, err := net.DefaultResolver.LookupHost(context.Background(), name)
		took := time.Since(begin)
		a.mu.Lock()
		a.said.Lookups++
		if took >= time.Second {
			a.said.Slow = append(a.said.Slow, took)
		}
		if err != nil {
			a.said.Failed = append(a.said.Failed, fmt.Sprintf("%s, after %v: %v", begin.UTC().Format("15:04:05.000"), took.Round(time.Millisecond), err))
		}
		a.mu.Unlock()
	}
}

// oneSocket asks the first server of resolv.conf from one port, as *forward* of CoreDNS does, and
// where no answer comes once more after a tenth of a second, and after another second. What is
// between may send all of these to one server, and go on with that when the server has ended.
func (a *asker) oneSocket(end context.Context, every time.Duration, name string) error {
	_, server, _ := strings.Cut(a.said.Resolv, "nameserver ")
	server, _, _ = strings.Cut(server, "\n")
	conn, err := net.Dial("udp", net.JoinHostPort(server, "53"))
	if err != nil {
		return err
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-end.Done():
			return nil
		case <-tick.C:
		}
		query, err := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA).Pack()
		if err != nil {
			return err
		}
		begin := time.Now()
		answered, late := false, false
		for i, patience := range []time.Duration{100 * time.Millisecond, time.Second, 5 * time.Second} {
			late = i == 2
			_, err = conn.Write(query)
			if answered = err == nil && answers(conn, query[:2], patience); answered {
				break
			}
		}
		if !answered {
			a.mu.Lock()
			a.said.Socket = append(a.said.Socket, begin.UTC().Format("15:04:05.000"))
			a.mu.Unlock()
		} else if late {
			a.mu.Lock()
			a.said.Late++
			a.mu.Unlock()
		}
	}
}

// answers tells whether an answer comes to the query with an ID.
func answers(conn net.Conn, id []byte, patience time.Duration) bool {
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	b := make([]byte, dns.MaxMsgSize)
	for {
		n, err := conn.Read(b)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false
		case err == nil && n >= 12 && bytes.Equal(b[:2], id):
			return true
		case err != nil: // refused, which says nothing of the next one
			time.Sleep(time.Millisecond)
		}
	}
}

// ServeHTTP implements [http.Handler]: it says what came of the lookups, or looks up the name
// that it is given.
func (a *asker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if name := r.URL.Query().Get("name"); name != "" {
		if _, err := net.DefaultResolver.LookupHost(r.Context(), name); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = json.NewEncoder(w).Encode(a.said)
}
