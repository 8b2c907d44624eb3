package main

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

var lines = flag.Int("lines", 200_000, "of the log that TestFindLarge makes and reads")

// TestFindLarge finds a herd of 1,000 clients in a log of others, which are many for many
// names. It prints how long that takes, and the most memory that the process got for it:
//
//	go test -C cmd/ttlstorm -v -run TestFindLarge . -lines 10000000
func TestFindLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "coredns.log")
	writeLog(t, path, *lines)
	var out, errs bytes.Buffer
	began := time.Now()
	if err := execute(t.Context(), []string{"find", path}, strings.NewReader(""), &out, &errs); err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	took := time.Since(began)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	t.Logf("%d lines in %v, %d MiB", *lines, took.Round(time.Millisecond), m.Sys>>20)
	for _, want := range []string{"1 finding", "herd at A herd.linkerd.svc.cluster.local.", "1,000 clients come every 3", "ttlfloor 30s herd.linkerd.svc.cluster.local"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
}

// writeLog writes ten minutes of a log, as kubectl logs --timestamps has it.
func writeLog(t *testing.T, path string, n int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	line := func(at time.Time, from string, name string) {
		_, _ = fmt.Fprintf(w, "%s [INFO] %s:40000 - 7 \"A IN %s udp 60 false 512\" NOERROR qr,aa,rd 106 0.000231s\n", at.Format(time.RFC3339Nano), from, name)
	}
	r := rand.New(rand.NewPCG(1, 2))
	begin := time.Unix(1_700_000_000, 0).UTC()
	step := 10 * time.Minute / time.Duration(n)
	period, due := 30*time.Second, time.Second
	for i := range n {
		at := time.Duration(i) * step
		if at >= due { // the herd is there at once
			for c := range 1000 {
				line(begin.Add(at), fmt.Sprintf("10.9.%d.%d", c>>8, c&255), "herd.linkerd.svc.cluster.local.")
			}
			due += period
		}
		line(begin.Add(at), fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(40), r.IntN(256)), fmt.Sprintf("svc-%d.shop.svc.cluster.local.", int(r.ExpFloat64()*3000)))
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
