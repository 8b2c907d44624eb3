package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ask asks a server from the machine, which is none of the cluster's: Services are reached
// by way of a node.
func ask(network, server, name string, qtype uint16) (*dns.Msg, error) {
	client := dns.Client{Net: network, Timeout: 2 * time.Second}
	m, _, err := client.Exchange(new(dns.Msg).SetQuestion(name, qtype), net.JoinHostPort(server, "53"))
	return m, err
}

// served wants answers over UDP and TCP whose TTLs are in a range.
func served(t *testing.T, server, name string, qtype uint16, low, high uint32) {
	t.Helper()
	for _, network := range []string{"udp", "tcp"} {
		eventually(t, func() error {
			m, err := ask(network, server, name, qtype)
			if err == nil && len(m.Answer) == 0 {
				err = fmt.Errorf("no answer:\n%v", m)
			}
			if err != nil {
				return err
			}
			for _, rr := range m.Answer {
				if ttl := rr.Header().Ttl; ttl < low || ttl > high {
					return fmt.Errorf("over %s TTL %d, want %d to %d:\n%v", network, ttl, low, high, rr)
				}
			}
			return nil
		})
	}
}

// services has the machine reach the addresses of Services by way of a node.
func (c *cluster) services(t *testing.T, node int) {
	t.Helper()
	has4, has6 := c.families()
	if has4 {
		do(t, fmt.Sprintf("ip route replace %s via 10.89.0.%d", serviceCIDR, node+1))
	}
	if has6 {
		do(t, fmt.Sprintf("ip -6 route replace %s via fd00:89::%x", serviceCIDR6, node+1))
	}
}

// running are the processes of the machine whose command line starts with some words, as
// directories of /proc.
func running(words ...string) (dirs []string) {
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		line, err := os.ReadFile(filepath.Join(dir, "cmdline")) // #nosec G304 -- of the system
		if err == nil && strings.HasPrefix(string(line), strings.Join(words, "\x00")) {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// field is a line of a file of lines such as "Uid:\t0".
func field(path, name string) (string, error) {
	b, err := os.ReadFile(path) // #nosec G304 -- of the system
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.Join(strings.Fields(value), " "), nil
		}
	}
	return "", errors.New(path + " has no " + name)
}
