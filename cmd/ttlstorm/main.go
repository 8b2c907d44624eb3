// Command ttlstorm asks a DNS server as programs do that follow TTLs: each of
// its clients resolves a name, waits until the TTL has run out, and resolves it
// again. It shows how many queries come of that, how evenly, and of which TTLs.
//
//	ttlstorm -server 127.0.0.1:1053 -clients 500 -for 2m -model linkerd SRV dst.linkerd.svc.cluster.local
//	ttlstorm compare -clients 300 -for 90s -png out.png
package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/miekg/dns"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/client"
	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	var usage usageError
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "ttlstorm:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "ttlstorm:", err)
		os.Exit(1)
	}
}

// usageError is a mistake in the arguments.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// The most that ttlstorm does to a server.
const (
	maxClients = 10_000
	maxRate    = 100_000 // queries a second
	maxLength  = 24 * time.Hour
)

// options are what both commands take.
type options struct {
	clients int
	length  time.Duration
	start   time.Duration
	rate    int
	model   string
	seed    uint64
	json    string
	csv     string
	png     string
	svg     string
}

// flags defines them. A run takes length if nothing else is said.
func (o *options) flags(f *flag.FlagSet, length time.Duration) {
	f.IntVar(&o.clients, "clients", 100, fmt.Sprintf("how many clients, 1 to %d; each resolves every name", maxClients))
	f.DurationVar(&o.length, "for", length, "how long, 2s to 24h")
	f.DurationVar(&o.start, "start", 20*time.Millisecond, "within which all clients start")
	f.IntVar(&o.rate, "rate", 20_000, fmt.Sprintf("most queries a second, 1 to %d", maxRate))
	f.StringVar(&o.model, "model", "linkerd-unpatched", "how the clients behave: "+strings.Join(modelNames(), ", "))
	f.Uint64Var(&o.seed, "seed", 1, "of what the clients draw")
	f.StringVar(&o.json, "json", "", "`file` for all that was measured")
	f.StringVar(&o.csv, "csv", "", "`file` for queries per second")
	f.StringVar(&o.png, "png", "", "`file` for a picture")
	f.StringVar(&o.svg, "svg", "", "`file` for a picture")
}

func modelNames() (names []string) {
	for _, m := range client.Models {
		names = append(names, m.Name)
	}
	return names
}

// check returns the model.
func (o *options) check() (*client.Model, error) {
	m, err := client.ByName(o.model)
	switch {
	case err != nil:
		return nil, usagef("-model: %v", err)
	case o.clients < 1 || o.clients > maxClients:
		return nil, usagef("-clients %d: there can be 1 to %d", o.clients, maxClients)
	case o.length < 2*time.Second || o.length > maxLength:
		return nil, usagef("-for %v: it can be 2s to %v", o.length, maxLength)
	case o.start < 0 || o.start > o.length:
		return nil, usagef("-start %v: it can be 0s to the %v of -for", o.start, o.length)
	case o.rate < 1 || o.rate > maxRate:
		return nil, usagef("-rate %d: it can be 1 to %d queries a second", o.rate, maxRate)
	}
	for name, file := range o.files() {
		if file == "" {
			continue
		}
		// Before the run rather than after it.
		dir := filepath.Dir(file)
		probe, err := os.CreateTemp(dir, ".ttlstorm-*")
		if err != nil {
			return nil, fmt.Errorf("-%s %s: cannot write in %s (%w); name a file in a directory that exists and can be written", name, file, dir, errors.Unwrap(err))
		}
		_ = probe.Close()
		_ = os.Remove(probe.Name())
	}
	return m, nil
}

func (o *options) files() map[string]string {
	return map[string]string{"json": o.json, "csv": o.csv, "png": o.png, "svg": o.svg}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 && args[0] == "compare" {
		return compare(ctx, args[1:], stdout, stderr)
	}
	var o options
	f := flag.NewFlagSet("ttlstorm", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	o.flags(f, 40*time.Second)
	server := f.String("server", "", "`address` and port of the server")
	remote := f.Bool("remote", false, "ask a server that is not on this machine, too")
	usage := func(w io.Writer) {
		_, _ = fmt.Fprint(w, "usage: ttlstorm -server ADDRESS:PORT [flags] [TYPE] NAME...\n       ttlstorm compare [flags]\n\nA TYPE is for the names behind it; without, the model decides.\n\n")
		f.SetOutput(w)
		f.PrintDefaults()
	}
	if err := parseFlags(f, args, usage, stdout); err != nil {
		return err
	}
	m, err := o.check()
	if err != nil {
		return err
	}
	addr, err := checkServer(*server, *remote)
	if err != nil {
		return err
	}
	questions, err := parseQuestions(f.Args())
	if err != nil {
		return err
	}
	if err := probe(ctx, addr, questions[0]); err != nil {
		return err
	}
	l := &live{options: o, model: m, server: addr, questions: questions, progress: stderr, name: addr}
	report, err := l.run(ctx)
	if err != nil {
		return err
	}
	return o.write(stdout, []storm.Report{report})
}

// parseFlags parses flags, and makes what is wrong with them a usageError.
func parseFlags(f *flag.FlagSet, args []string, usage func(io.Writer), stdout io.Writer) error {
	f.Usage = func() {}
	err := f.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		usage(stdout)
		return err
	}
	if err != nil {
		return usagef("%v; -h lists the flags", err)
	}
	return nil
}

// checkServer returns the address of a server that may be asked.
func checkServer(server string, remote bool) (string, error) {
	if server == "" {
		return "", usagef("no server; give -server ADDRESS:PORT, such as 127.0.0.1:1053")
	}
	addr, err := netip.ParseAddrPort(server)
	if err != nil {
		return "", usagef("-server %s: not an address and port such as 127.0.0.1:1053 or [::1]:1053", server)
	}
	if !addr.Addr().IsLoopback() && !remote {
		return "", usagef("-server %s is not on this machine, and a storm there harms those who depend on it; -remote says that you may", server)
	}
	return addr.String(), nil
}

// question is a name, and the type that is asked first, or 0.
type question struct {
	name  string
	qtype uint16
}

func parseQuestions(args []string) (out []question, err error) {
	var qtype uint16
	for _, arg := range args {
		if t, ok := dns.StringToType[strings.ToUpper(arg)]; ok && !strings.Contains(arg, ".") {
			qtype = t
			continue
		}
		if _, ok := dns.IsDomainName(arg); !ok {
			return nil, usagef("%q is not a domain name", arg)
		}
		out = append(out, question{dns.Fqdn(arg), qtype})
	}
	if len(out) == 0 {
		return nil, usagef("no names; give some to resolve, such as SRV linkerd-dst-headless.linkerd.svc.cluster.local")
	}
	if len(out) > 100 {
		return nil, usagef("%d names: there can be 1 to 100", len(out))
	}
	return out, nil
}

// probe asks once, so that a server that is down is known before the run.
func probe(ctx context.Context, server string, q question) error {
	qtype := q.qtype
	if qtype == 0 {
		qtype = dns.TypeSOA
	}
	var err error
	for range 2 {
		var m *dns.Msg
		c := dns.Client{Timeout: client.Timeout}
		m, _, err = c.ExchangeContext(ctx, new(dns.Msg).SetQuestion(q.name, qtype), server)
		if err == nil && m != nil {
			return nil
		}
		var netErr net.Error
		if !errors.As(err, &netErr) || !netErr.Timeout() {
			break
		}
	}
	return fmt.Errorf("%s does not answer (%w); is a DNS server running there?", server, err)
}

// write writes the table to stdout, and the files that were asked for.
func (o *options) write(stdout io.Writer, reports []storm.Report) error {
	if err := storm.Text(stdout, reports); err != nil {
		return err
	}
	for name, file := range o.files() {
		if file == "" {
			continue
		}
		if err := writeFile(file, func(w io.Writer) error {
			switch name {
			case "json":
				e := json.NewEncoder(w)
				e.SetIndent("", "  ")
				return e.Encode(reports)
			case "csv":
				return writeCSV(w, reports)
			}
			return storm.Draw(w, name, reports)
		}); err != nil {
			return fmt.Errorf("-%s: %w", name, err)
		}
	}
	return nil
}

// writeFile writes a file as a whole or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".ttlstorm-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// writeCSV writes a line per second and a column per report.
func writeCSV(w io.Writer, reports []storm.Report) error {
	c := csv.NewWriter(w)
	head, seconds := append(make([]string, 0, len(reports)+1), "second"), 0
	for _, r := range reports {
		head = append(head, r.Name)
		seconds = max(seconds, len(r.Seconds))
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for s := range seconds {
		line := []string{strconv.Itoa(s)}
		for _, r := range reports {
			cell := ""
			if s < len(r.Seconds) {
				cell = strconv.Itoa(r.Seconds[s])
			}
			line = append(line, cell)
		}
		if err := c.Write(line); err != nil {
			return err
		}
	}
	c.Flush()
	return c.Error()
}
