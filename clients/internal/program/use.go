package program

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/miekg/dns"
)

// ask uses a name by asking a DNS server, as a stub resolver does.
func ask(server string) Use {
	return func(ctx context.Context, name string) (string, int, error) {
		client := dns.Client{Timeout: 2 * time.Second}
		m := new(dns.Msg).SetQuestion(name, dns.TypeA)
		r, _, err := client.ExchangeContext(ctx, m, server)
		if err == nil && r.Truncated {
			client.Net = "tcp"
			r, _, err = client.ExchangeContext(ctx, m, server)
		}
		if err != nil {
			return "", -1, err
		}
		for _, rr := range r.Answer {
			if a, ok := rr.(*dns.A); ok {
				return a.A.String(), int(a.Hdr.Ttl), nil
			}
		}
		return "", -1, fmt.Errorf("%s", dns.RcodeToString[r.Rcode])
	}
}

// getHost uses a name by a request to a proxy that takes it from the header Host.
func getHost(proxy string) Use {
	return request(func(name string) (url, host string) { return "http://" + proxy + "/", strings.TrimSuffix(name, ".") })
}

// get uses a name by a request to a proxy that has an address for each.
func get(url func(name string) string) Use {
	return request(func(name string) (string, string) { return url(name), "" })
}

// request asks a proxy, whose backends say what address they have.
func request(to func(name string) (url, host string)) Use {
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	return func(ctx context.Context, name string) (string, int, error) {
		url, host := to(name)
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
		if err != nil {
			return "", -1, err
		}
		req.Host = host
		r, err := client.Do(req)
		if err != nil {
			return "", -1, err
		}
		defer func() { _ = r.Body.Close() }()
		if r.StatusCode != http.StatusOK {
			return "", -1, fmt.Errorf("status %d", r.StatusCode)
		}
		b, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		if err != nil {
			return "", -1, err
		}
		return string(bytes.TrimSpace(b)), -1, nil
	}
}

// driver uses names through a small program that calls a library. It reads lines of a number
// and a name, and for each writes a line of that number and an address, or of the number, a
// dash, and what went wrong. Lookups run side by side.
func driver(c *Cell, args ...string) (Use, error) {
	cmd := exec.CommandContext(c.Context, args[0], args[1:]...) // #nosec G204 -- from the code
	cmd.Dir, cmd.Stderr = c.Dir, c.Log
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	next, waiting := 0, map[string]chan string{}
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			number, rest, _ := strings.Cut(lines.Text(), " ")
			mu.Lock()
			ch := waiting[number]
			delete(waiting, number)
			mu.Unlock()
			if ch != nil {
				ch <- rest
			}
		}
		c.end(args[0], cmd.Wait())
	}()
	return func(ctx context.Context, name string) (string, int, error) {
		ch := make(chan string, 1)
		mu.Lock()
		next++
		number := strconv.Itoa(next)
		waiting[number] = ch
		_, err := fmt.Fprintf(in, "%s %s\n", number, strings.TrimSuffix(name, "."))
		mu.Unlock()
		if err != nil {
			return "", -1, err
		}
		select {
		case line := <-ch:
			if why, failed := strings.CutPrefix(line, "- "); failed {
				return "", -1, errors.New(why)
			}
			return line, -1, nil
		case <-time.After(5 * time.Second): // the driver may still answer
			return "", -1, errors.New("no answer in 5 s")
		case <-ctx.Done():
			return "", -1, ctx.Err()
		}
	}, nil
}
