package main

import (
	"bufio"
	"bytes"
	"errors"
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

// TestFindFlags has what find refuses, and FLOOR as a number and as a length of time.
func TestFindFlags(t *testing.T) {
	path := filepath.Join(t.TempDir(), "coredns.log")
	writeLog(t, path, 20_000)
	for _, tt := range []struct {
		args string
		want string // in what it prints, or in the error
		ok   bool
	}{
		{"-floor 20 " + path, "ttlfloor 20s herd", true},
		{"-floor 20s " + path, "ttlfloor 20s herd", true},
		{"-floor 20s -replays 0 " + path, "ttlfloor 20s herd", true},
		{"-floor 20m " + path, "as in 30 or 30s", false},
		{"-floor 0 " + path, "1 to 3600", false},
		{"-replays 101 " + path, "0 to 100", false},
		{"-port 0 " + path, "1 to 65535", false},
		{"-address here " + path, "not an address", false},
		{"-listen unix:/s " + path, "give one of the two", false},
		{"-listen udp:/s", "unix:PATH or tcp:ADDRESS:PORT", false},
		{"", "nothing to read", false},
	} {
		var out, errs bytes.Buffer
		err := execute(t.Context(), append([]string{"find"}, strings.Fields(tt.args)...), strings.NewReader(""), &out, &errs)
		said := out.String()
		if err != nil {
			said = err.Error()
		}
		if (err == nil) != tt.ok || !strings.Contains(said, tt.want) {
			t.Errorf("find %s: want %q in\n%s", tt.args, tt.want, said)
		}
		if _, usage := errors.AsType[usageError](err); !tt.ok && !usage {
			t.Errorf("find %s: %v is no mistake in the arguments", tt.args, err)
		}
		if strings.Contains(tt.args, "-replays 0") && strings.Contains(said, "with 20s") {
			t.Errorf("find %s: there is a replay in\n%s", tt.args, said)
		}
	}
}
