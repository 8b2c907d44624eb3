package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// program returns the path of a file that its owner may run.
func program(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestWrite(t *testing.T) {
	file, mtime := program(t), time.Unix(1700000000, 0)
	var first, second bytes.Buffer
	args := []string{"coredns=" + file, "source=main.go"}
	if err := write(&first, mtime, "coredns", args); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(file, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := write(&second, mtime, "coredns", args); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same files give two archives")
	}

	archive := tar.NewReader(&first)
	for _, want := range []struct {
		name       string
		mode       int64
		capability string
	}{
		{"coredns", 0o555, "\x01\x00\x00\x02\x00\x04\x00\x00" + strings.Repeat("\x00", 12)},
		{"source", 0o444, ""},
	} {
		got, err := archive.Next()
		if err != nil {
			t.Fatal(err)
		}
		if got.Name != want.name || got.Mode != want.mode || got.Uid != 0 || !got.ModTime.Equal(mtime) ||
			got.PAXRecords["SCHILY.xattr.security.capability"] != want.capability {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	if _, err := archive.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("got %v after the last file", err)
	}
}

func TestWriteRefuses(t *testing.T) {
	for _, tc := range []struct {
		name, bind, arg, want string
	}{
		{"no file", "", "coredns", `"coredns": a name in the root directory, = and a file are accepted`},
		{"no name", "", "=main.go", `"=main.go": a name`},
		{"directory", "", "etc/x=main.go", `"etc/x=main.go": a name`},
		{"file that is not there", "", "x=missing", "x: open missing"},
		{"bind of another file", "y", "x=main.go", `"y" is none of the files`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := write(io.Discard, time.Time{}, tc.bind, []string{tc.arg})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want one with %q", err, tc.want)
			}
		})
	}
}
