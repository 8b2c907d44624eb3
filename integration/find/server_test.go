//go:build linux

package find

import (
	"bufio"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coredns/caddy"
	"github.com/coredns/coredns/core/dnsserver"
	_ "github.com/coredns/coredns/core/plugin" // every plugin of upstream
	clog "github.com/coredns/coredns/plugin/pkg/log"

	_ "github.com/ttlfloor/ttlfloor"
	"github.com/ttlfloor/ttlfloor/internal/chain"
)

const (
	serving   = "TTLFLOOR_TEST_COREFILE" // has the Corefile of a process that is a server
	listening = "listening on "          // is in front of its address
)

// serve is a CoreDNS until standard input ends. It writes its address for UDP first,
// which the system has chosen, and then what log writes.
func serve(corefile string) error {
	caddy.Quiet, dnsserver.Quiet = true, true
	if err := chain.Set(); err != nil {
		return err
	}
	clog.SetOutput(os.Stdout)
	log.SetFlags(0)
	inst, err := caddy.Start(caddy.CaddyfileInput{Contents: []byte(corefile), Filepath: "Corefile", ServerTypeName: "dns"})
	if err != nil {
		return err
	}
	fmt.Println(listening + inst.Servers()[0].LocalAddr().String())
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	err = inst.Stop()
	if errs := inst.ShutdownCallbacks(); errs != nil { // dnstap sends what it has
		return fmt.Errorf("%v", errs)
	}
	return err
}

// server is a CoreDNS in a process of its own.
type server struct {
	addr string
	log  string // a file that has what it wrote, as "kubectl logs --timestamps" shows it
	stop func()
}

// start starts one. What a line of its log has in front is the time at which it came.
func start(t *testing.T, corefile string) *server {
	t.Helper()
	s := &server{log: filepath.Join(t.TempDir(), "coredns.log")}
	file, err := os.Create(s.log)
	must(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serving+"="+corefile)
	stdin, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	must(t, cmd.Start())
	addr, written := make(chan string, 1), make(chan error, 1)
	go func() {
		w, lines := bufio.NewWriter(file), bufio.NewScanner(out)
		for lines.Scan() {
			if a, ok := strings.CutPrefix(lines.Text(), listening); ok {
				addr <- a
				continue
			}
			_, _ = fmt.Fprintf(w, "%s %s\n", time.Now().UTC().Format("2006-01-02T15:04:05.000000000Z"), lines.Text())
		}
		close(addr)
		_ = w.Flush() // an error comes again at Close
		written <- file.Close()
	}()
	s.stop = sync.OnceFunc(func() {
		_ = stdin.Close()
		kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		if err := <-written; err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("CoreDNS: %v\n%s", err, stderr.String())
		}
	})
	t.Cleanup(s.stop)
	var ok bool
	if s.addr, ok = <-addr; !ok {
		s.stop()
		t.Fatalf("the server does not boot:\n%s\n%s", corefile, stderr.String())
	}
	return s
}
