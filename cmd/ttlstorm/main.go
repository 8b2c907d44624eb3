// Command ttlstorm asks a DNS server as programs do that follow TTLs: each of
// its clients resolves a name, waits until the TTL has run out, and resolves it
// again. It shows how many queries come of that, how evenly, and of which TTLs. A
// server on loopback sees each client at an address of its own, where the system has
// that many.
//
//	ttlstorm -server 127.0.0.1:1053 -clients 500 -for 2m -model linkerd SRV dst.linkerd.svc.cluster.local
//	ttlstorm -server 127.0.0.1:1053 -others 400 SRV dst.linkerd.svc.cluster.local
//	ttlstorm compare -clients 300 -for 90s -png out.png
package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
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
	others  int // queries a second
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
	f.IntVar(&o.others, "others", 0, "queries a second beside the clients, up to -rate; each comes from an address of its own, and never again")
	f.StringVar(&o.model, "model", "linkerd-unpatched", "how the clients behave: "+strings.Join(modelNames(), ", "))
	f.Uint64Var(&o.seed, "seed", 1, "of what the clients draw")
	f.StringVar(&o.json, "json", "", "`file` for all that was measured")
	f.StringVar(&o.csv, "csv", "", "`file` for queries per second")
	f.StringVar(&o.png, "png", "", "`file` for a picture")
	f.StringVar(&o.svg, "svg", "", "`file` for a picture")
}

// oneLine warns that the clients have one address, and says why.
const oneLine = "ttlstorm: all clients ask from one address, since %s; ttlfloor takes them for one client, and spreads them by chance alone\n"

// dash is what both usages say of files.
const dash = "A file that is - is standard output; the table then goes to standard error.\n\n"

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
	case o.others < 0 || o.others > o.rate:
		return nil, usagef("-others %d: it can be 0 to the %d queries a second of -rate", o.others, o.rate)
	}
	return m, nil
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
		_, _ = fmt.Fprint(w, "usage: ttlstorm -server ADDRESS:PORT [flags] [TYPE] NAME...\n       ttlstorm compare [flags]\n\n"+
			"A TYPE is for the names behind it or, where a name comes first, for those before it; without, the model decides.\n"+dash)
		f.SetOutput(w)
		f.PrintDefaults()
	}
	args, err := parseFlags(f, args, usage, stdout)
	if err != nil {
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
	questions, err := parseQuestions(args)
	if err != nil {
		return err
	}
	out, err := o.open(stdout, stderr)
	if err != nil {
		return err
	}
	defer out.close()
	if err := probe(ctx, addr, questions[0]); err != nil {
		return err
	}
	why := oneAddress(netip.MustParseAddrPort(addr).Addr())
	if why != "" {
		_, _ = fmt.Fprintf(stderr, oneLine, why)
	}
	l := &live{options: o, model: m, server: addr, own: why == "", questions: questions, progress: stderr, name: addr}
	report, err := l.run(ctx)
	if err != nil {
		return err
	}
	return out.write([]storm.Report{report})
}

// parseFlags parses flags, behind names as well as before them, and returns the
// names. What is wrong with them is a usageError.
func parseFlags(f *flag.FlagSet, args []string, usage func(io.Writer), stdout io.Writer) (names []string, err error) {
	f.Usage = func() {}
	for {
		err := f.Parse(args)
		if errors.Is(err, flag.ErrHelp) {
			usage(stdout)
			return nil, err
		}
		switch {
		case err != nil:
			return nil, usagef("%v; -h lists the flags", err)
		case f.NArg() == 0:
			return names, nil
		case f.Arg(0) == "compare":
			return nil, usagef(`"compare" goes before the flags; the name is "compare."`)
		}
		names, args = append(names, f.Arg(0)), f.Args()[1:]
	}
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

// parseQuestions reads names and their types. A type is for the names behind it or,
// where a name comes first, for those before it, as dig has it; so is the class IN.
func parseQuestions(args []string) (out []question, err error) {
	args = slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.EqualFold(arg, "IN") })
	if len(args) > 0 && typeOf(args[0]) == 0 { // backwards, the type comes first
		slices.Reverse(args)
		defer func() { slices.Reverse(out) }()
	}
	var qtype uint16
	alone := "" // the type, if no name has come since
	for _, arg := range args {
		_, class := dns.StringToClass[strings.ToUpper(arg)]
		_, name := dns.IsDomainName(arg)
		switch t := typeOf(arg); {
		case t != 0 && alone == "":
			qtype, alone = t, arg
		case t != 0:
			return nil, usagef("%q has no name; a type has names behind it or before it", alone)
		case class || !name || arg[0] == '-' || strings.ContainsAny(arg, "@+:, "):
			return nil, usagef("%q is not a domain name; give [TYPE] NAME..., and the server with -server", arg)
		default:
			out, alone = append(out, question{dns.Fqdn(arg), qtype}), ""
		}
	}
	switch {
	case len(out) == 0:
		return nil, usagef("no names; give some to resolve, such as SRV linkerd-dst-headless.linkerd.svc.cluster.local")
	case alone != "":
		return nil, usagef("%q has no name; a type has names behind it or before it", alone)
	case len(out) > 100:
		return nil, usagef("%d names: there can be 1 to 100", len(out))
	}
	return out, nil
}

// typeOf returns the type that a word is, such as SRV or TYPE33, or 0.
func typeOf(word string) uint16 {
	word = strings.ToUpper(word)
	if n, ok := strings.CutPrefix(word, "TYPE"); ok {
		t, _ := strconv.ParseUint(n, 10, 16)
		return uint16(t) // #nosec G115 -- 16 bits
	}
	return dns.StringToType[word]
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

// outputs are where reports go.
type outputs struct {
	table io.Writer
	files []*output
}

// output is a file that a flag names.
type output struct {
	flag string
	to   io.Writer
	file *os.File // nil for standard output
	info os.FileInfo
	made bool // by this run, with nothing in it yet
}

func (f *output) regular() bool { return f.file != nil && f.info.Mode().IsRegular() }

// open opens the files that flags name, so that one that cannot be written is known
// before the run. What is in a file stays until there is something to write.
func (o *options) open(stdout, stderr io.Writer) (*outputs, error) {
	out := &outputs{table: stdout}
	for _, f := range []struct{ flag, path string }{{"json", o.json}, {"csv", o.csv}, {"png", o.png}, {"svg", o.svg}} {
		if f.path == "" {
			continue
		}
		if err := out.open(f.flag, f.path, stdout, stderr); err != nil {
			out.close()
			return nil, err
		}
	}
	return out, nil
}

func (o *outputs) open(flag, path string, stdout, stderr io.Writer) error {
	n := &output{flag: flag, to: stdout}
	switch {
	case path == "-" || path == "/dev/stdout":
		o.table = stderr
	case path[0] == '-':
		return usagef("-%s %s: a file has no dash in front; write ./%s for one that has", flag, path, path)
	default:
		_, missing := os.Stat(path)
		// Without O_NONBLOCK a pipe that nobody reads would hold up the run, and an interrupt with it.
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o644) // #nosec G302 G304 -- named by the user, readable by all
		if err != nil {
			return fmt.Errorf("-%s %s: cannot be written (%w); name a file in a directory that exists and can be written", flag, path, errors.Unwrap(err))
		}
		n.to, n.file, n.made = file, file, errors.Is(missing, fs.ErrNotExist)
		if n.info, err = file.Stat(); err != nil {
			return err
		}
	}
	same := slices.IndexFunc(o.files, func(f *output) bool {
		return n.file == f.file || n.regular() && os.SameFile(n.info, f.info)
	})
	o.files = append(o.files, n)
	if same >= 0 {
		return usagef("-%s %s: -%s has the same file; each needs one of its own", flag, path, o.files[same].flag)
	}
	return nil
}

// close closes the files, and removes those that would stay empty.
func (o *outputs) close() {
	for _, f := range o.files {
		if f.file != nil {
			_ = f.file.Close()
		}
		if f.made {
			path, _ := filepath.EvalSymlinks(f.file.Name())
			_ = os.Remove(path)
		}
	}
}

// write writes the table, and the files that were asked for. It fails, after that,
// where a run had no answer.
func (o *outputs) write(reports []storm.Report) error {
	err := storm.Text(o.table, reports)
	for _, f := range o.files {
		if e := f.write(reports); e != nil && err == nil { // the others are still worth having
			err = fmt.Errorf("-%s: %w", f.flag, e)
		}
	}
	for _, r := range reports {
		if err == nil && r.Queries > 0 && len(r.TTLs) == 0 {
			err = fmt.Errorf("%s: none of %d queries had an answer (errors: %s); does the server have the names?", r.Name, r.Queries, storm.ErrorList(r.Errors))
		}
	}
	return err
}

func (f *output) write(reports []storm.Report) error {
	var b bytes.Buffer
	if err := render(&b, f.flag, reports); err != nil {
		return err
	}
	if f.regular() {
		if err := f.file.Truncate(0); err != nil {
			return err
		}
	}
	if _, err := f.to.Write(b.Bytes()); err != nil {
		return err
	}
	f.made = false
	return nil
}

// render writes reports in the format that a flag stands for.
func render(w io.Writer, flag string, reports []storm.Report) error {
	switch flag {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(reports)
	case "csv":
		return writeCSV(w, reports)
	}
	return storm.Draw(w, flag, reports)
}

// writeCSV writes a line per second and a column per report, and one more where there
// were others, for all queries.
func writeCSV(w io.Writer, reports []storm.Report) error {
	c := csv.NewWriter(w)
	head, seconds := append(make([]string, 0, 2*len(reports)+1), "second"), 0
	var columns [][]int
	for _, r := range reports {
		head, columns = append(head, r.Name), append(columns, r.Seconds)
		if r.Others != nil {
			head, columns = append(head, r.Name+", all"), append(columns, r.Others.Seconds)
		}
		seconds = max(seconds, len(r.Seconds))
	}
	if err := c.Write(head); err != nil {
		return err
	}
	for s := range seconds {
		line := []string{strconv.Itoa(s)}
		for _, column := range columns {
			cell := ""
			if s < len(column) {
				cell = strconv.Itoa(column[s])
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
