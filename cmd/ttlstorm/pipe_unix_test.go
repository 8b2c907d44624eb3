//go:build unix

package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestPipe has a named pipe for a file. It is written to where somebody reads it,
// and refused, rather than waited for, where nobody does.
func TestPipe(t *testing.T) {
	server := listen(t, answer)
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-server", server, "-clients", "1", "-for", "2s", "A", "a.example", "-csv", pipe}
	if err := run(t.Context(), args, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "cannot be written") {
		t.Errorf("error %v, want one that says that nobody reads", err)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = reader.Close() }()
	if err := run(t.Context(), args, io.Discard, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(reader); err != nil || !strings.HasPrefix(string(got), "second,127.0.0.1:") {
		t.Errorf("the pipe has %q, %v", got, err)
	}
}
