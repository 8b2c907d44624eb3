// Client is the program in the pods of the tests. It looks names up as the application does
// that it is built as: with the resolver of Go, or built with cgo with that of libc.
//
//	client pause
//	client ask -names www.example.org.,kubernetes.default -every 50ms
package main

import (
	"context"
	"encoding/json"
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
	server := &http.Server{Addr: ":8000", Handler: a, ReadHeaderTimeout: time.Second}
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

// ServeHTTP implements [http.Handler]: it says what came of the lookups.
func (a *asker) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = json.NewEncoder(w).Encode(a.said)
}
