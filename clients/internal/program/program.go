// Package program has the clients that are measured: how each is installed, configured and
// used. None of them is changed.
package program

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ttlfloor/ttlfloor/clients/internal/source"
)

// Program is a client as it comes.
type Program struct {
	Name     string            // in commands
	Title    string            // in documents
	Packages []string          // of Debian, which have all that it needs
	Tools    map[string]string // commands that it needs as well, and the packages to have them from where they are missing
	SRV      bool              // it looks up SRV records, too
	Only     []string          // labels of the cases that it can have; all if empty
	Longer   time.Duration     // that it is used for, where its waits are long
	Version  []string          // a command that prints it

	// Install gets what Debian does not have, once. dir is there from then on.
	Install func(ctx context.Context, dir string) error
	// Start starts it in a cell, and returns how it is used.
	Start func(c *Cell) (Use, error)
}

// Use uses a name as an application does. It returns the address that the client has for
// it, and the TTL that it hands out, -1 where it hands out none.
type Use func(ctx context.Context, name string) (address string, ttl int, err error)

// Cell is where a program runs.
type Cell struct {
	Context   context.Context
	Dir       string   // to write to
	Installed string   // what Install made
	Names     []string // one for each case
	Log       io.Writer

	mu    sync.Mutex
	ended error // of the first program that did not live as long as the cell
}

// Ended returns an error if a program has ended.
func (c *Cell) Ended() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// end notes that a program has ended, and how.
func (c *Cell) end(program string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil && c.Context.Err() == nil {
		c.ended = fmt.Errorf("%s ended: %w", program, cmp.Or(err, errors.New("exit status 0")))
	}
}

// All are the programs, in the order of documents.
var All []*Program

func register(p *Program) *Program {
	All = append(All, p)
	return p
}

// ByName returns the one of All with a name, or those that are the same program with other
// settings, as envoy-strict and envoy-logical are for "envoy".
func ByName(name string) (found []*Program, err error) {
	names := make([]string, 0, len(All))
	for _, p := range All {
		if p.Name == name {
			return []*Program{p}, nil
		}
		if name != "" && strings.HasPrefix(p.Name, name+"-") {
			found = append(found, p)
		}
		names = append(names, p.Name)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("client %q: there is none; accepted are %s", name, strings.Join(names, ", "))
	}
	return found, nil
}

// Names are those of the cases that a program can have.
func (p *Program) Names() (names []string) {
	for _, c := range source.Cases {
		switch {
		case c.Label == source.SRV && p.SRV:
			names = append(names, "_port._tcp."+c.Label+"."+source.Zone)
		case c.Label != source.SRV && (len(p.Only) == 0 || slices.Contains(p.Only, c.Label)):
			names = append(names, c.Label+"."+source.Zone)
		}
	}
	return names
}

var version = regexp.MustCompile(`\d+(\.\d+)+[-+~.\w]*`)

// Installed returns the version of what is installed.
func (p *Program) Installed(ctx context.Context, dir string) (string, error) {
	args := make([]string, 0, len(p.Version))
	for _, a := range p.Version {
		args = append(args, strings.ReplaceAll(a, "{dir}", dir))
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) // #nosec G204 -- from the code
	out, err := cmd.CombinedOutput()
	v := version.Find(out)
	if v == nil {
		return "", fmt.Errorf("%s: its version is not known: %w: %.200s", p.Name, err, out)
	}
	return string(v), nil
}

// File writes a file for the program, and returns its path.
func (c *Cell) File(name, text string) (string, error) {
	path := filepath.Join(c.Dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644) // #nosec G306 G703 -- programs that drop their rights read it
}

// Run starts a program, which lives as long as the cell.
func (c *Cell) Run(args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(c.Context, args[0], args[1:]...) // #nosec G204 -- from the code
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.Dir, c.Log, c.Log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() { c.end(args[0], cmd.Wait()) }()
	return cmd, nil
}

// Listens waits until something accepts connections.
func (c *Cell) Listens(address string) error {
	for range 200 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-c.Context.Done():
			return c.Context.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("nothing listens on %s", address)
}

// Backends starts the servers whose addresses names have. Each says which it is.
func Backends() (stop func(), err error) {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // of clients of gRPC, which give up a server without it
	var servers []*http.Server
	stop = func() {
		for _, s := range servers {
			_ = s.Close()
		}
	}
	for _, host := range source.Addresses() {
		l, err := net.Listen("tcp", netip.AddrPortFrom(host, source.Port).String())
		if err != nil {
			stop()
			return nil, err
		}
		s := &http.Server{ReadHeaderTimeout: time.Second, Protocols: &protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintln(w, host)
		})}
		servers = append(servers, s)
		go func() { _ = s.Serve(l) }()
	}
	return stop, nil
}

// Get installs the program. What there is already stays.
func (p *Program) Get(ctx context.Context, dir string, log io.Writer) error {
	packages := slices.Clone(p.Packages)
	for tool, from := range p.Tools {
		if _, err := exec.LookPath(tool); err != nil {
			packages = append(packages, from)
		}
	}
	if len(packages) > 0 {
		if err := apt(ctx, log, packages...); err != nil {
			return err
		}
	}
	if p.Install == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // #nosec G301 -- programs that drop their rights read it
		return err
	}
	return p.Install(ctx, dir)
}
