//go:build linux

package find

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// began is when the logs begin that tests write.
var began = time.Date(2026, 3, 29, 0, 30, 0, 0, time.UTC)

// line is a line of a log, as "kubectl logs --timestamps" shows it.
func line(at time.Duration, client netip.Addr, name string) string {
	return fmt.Sprintf("%s [INFO] %s:40000 - 1 \"A IN %s udp 40 false 512\" NOERROR qr,aa,rd 70 0.000100000s\n",
		began.Add(at).Format(time.RFC3339Nano), client, name)
}

// logged is the log of a herd: so many clients who ask for a name every 5 s, a
// millisecond after each other, from the first address on.
func logged(first, name string, clients, rounds int) string {
	var b strings.Builder
	for round := range rounds {
		client := netip.MustParseAddr(first)
		for i := range clients {
			b.WriteString(line(time.Duration(round)*period+time.Duration(i)*time.Millisecond, client, name))
			client = client.Next()
		}
	}
	return b.String()
}

// spun is the log of a storm: a client who asks for a name every 20 ms.
func spun(client, name string, queries int) string {
	var b strings.Builder
	for i := range queries {
		b.WriteString(line(time.Duration(i)*20*time.Millisecond, netip.MustParseAddr(client), name))
	}
	return b.String()
}

// write writes files into a directory.
func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
}
