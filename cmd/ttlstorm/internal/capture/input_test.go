package capture

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"github.com/ulikunitz/xz/lzma"
)

// compressed is b as a kind of compression has it.
func compressed(tb testing.TB, b []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	tb.Helper()
	var out bytes.Buffer
	w, err := open(&out)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

func gz(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil }

// bz2 is line, compressed by bzip2.
const bz2 = "QlpoOTFBWSZTWTz8IqoAABHfgAAQUAd/8CIhkAAnhvpAIABURTTYoDQBoaPSaHqEUejRPUD1BkaZAaE0tpbHuT64JFHJI5q5cBvQlbBYzMBeMFMJpiuCwiVbRPAibAtEpRj3ixNUisBWXloD2YbR9NXAvVhS/F3JFOFCQPPwiqg="

// TestCompression opens what is compressed, and several after each other.
func TestCompression(t *testing.T) {
	bzip, err := base64.StdEncoding.DecodeString(bz2)
	if err != nil {
		t.Fatal(err)
	}
	text := []byte(line + "\n")
	for what, b := range map[string][]byte{
		"gzip":  compressed(t, text, gz),
		"zstd":  compressed(t, text, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) }),
		"xz":    compressed(t, text, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) }),
		"bzip2": bzip,
	} {
		for n := 1; n <= 2; n++ {
			got, c := read(t, bytes.Repeat(b, n), Options{})
			if len(got) != n || c.Truncated || c.Format != "text in "+what {
				t.Errorf("%d times %s: %d messages, %+v", n, what, len(got), c)
			}
		}
	}
	packets := compressed(t, raw(t, udp(t, client4, server4, query(t, "a.example.", 1))), gz)
	if got, c := read(t, packets, Options{}); len(got) != 1 || c.Format != "pcap in gzip" {
		t.Errorf("%d messages, %+v", len(got), c)
	}
	// Lines that do not compress, so that some come out before the end.
	var many bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		many.WriteString(strings.Replace(line, "example", strings.Repeat(string(rune('a'+r.IntN(26))), 1+r.IntN(60)), 1) + "\n")
	}
	whole := compressed(t, many.Bytes(), gz)
	got, c := read(t, whole[:len(whole)-100], Options{})
	if !c.Truncated || len(got) < 1000 || c.Why == "" {
		t.Errorf("%d messages, %+v", len(got), c)
	}
}

// TestUTF16 reads what PowerShell makes of a log.
func TestUTF16(t *testing.T) {
	text := utf16.Encode([]rune("\ufeff" + line + "\r\n" + line + "\r\n"))
	var little, big []byte
	for _, u := range text {
		little = append(little, byte(u), byte(u>>8))
		big = append(big, byte(u>>8), byte(u))
	}
	for what, b := range map[string][]byte{"UTF-16": little, "UTF-16, big-endian": big, "UTF-8": []byte("\xef\xbb\xbf" + line + "\n" + line)} {
		if got, c := read(t, b, Options{}); len(got) != 2 || c.Ignored != 0 {
			t.Errorf("%s: %d messages, %+v", what, len(got), c)
		}
	}
}

// TestNothing has inputs without a message. Each error is one line, and says what is
// accepted.
func TestNothing(t *testing.T) {
	for what, tc := range map[string]struct {
		data string
		want []string
	}{
		"empty":         {"", []string{"it is empty", "pcapng"}},
		"empty gzip":    {string(compressed(t, nil, gz)), []string{"nothing in gzip", "pcapng"}},
		"no gzip":       {"\x1f\x8bxxxxxxxxxx", []string{"in gzip", "gzip"}},
		"half a gzip":   {"\x1f\x8b\x08\x04\x00\x00\x00\x00\x00\x03\xff\x00", []string{"in gzip", "unexpected EOF"}},
		"no xz":         {"\xfd7zXZ\x00xxxxxxxxxx", []string{"in xz"}},
		"no zstd":       {"\x28\xb5\x2f\xfdxxxxxxxx", []string{"in zstd"}},
		"data":          {"\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00", []string{"it is data", `"\x7fELF`, "pcapng"}},
		"another text":  {"<html>\x1b[2J\n", []string{`"<html>\x1b[2J"`, "pcapng"}},
		"a short text":  {"x", []string{`"x"`}},
		"half a line":   {line[:50], []string{"no message in it"}},
		"pcap, no DNS":  {string(raw(t, udp(t, client4, client4, nil))), []string{"UDP", "the server's port"}},
		"pcap, nothing": {string(raw(t)), []string{"no message in it: it is pcap"}},
		"pcap, a half":  {string(raw(t)[:20]), []string{"it is pcap", "unexpected EOF"}},
		"pcap, 802.11":  {string(pcapFile(t, 105, captured{second(0), []byte{1}})), []string{"link type", "not read"}},
	} {
		t.Run(what, func(t *testing.T) {
			got, _, err := collect(t, []byte(tc.data), Options{})
			if err == nil || len(got) > 0 {
				t.Fatalf("%d messages, error %v", len(got), err)
			}
			for _, want := range append(tc.want, `"input": `) {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in %q", want, err)
				}
			}
			if strings.ContainsFunc(err.Error(), func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("%q cannot be printed", err)
			}
		})
	}
	for what, tc := range map[string]struct {
		data, format string
		hint         string
	}{
		"a format of its own": {"[INFO] 10.1.2.3 example.org. A\n", "", "-format FORMAT"},
		"another format":      {"[INFO] 10.1.2.3 example.org. A\n", "{name} {type}", `-format "{name} {type}"`},
		"packets":             {string(raw(t)), "{name} {type}", ""},
		"an empty file":       {"", "", ""},
	} {
		_, _, err := collect(t, []byte(tc.data), Options{LogFormat: tc.format})
		if err == nil || !strings.Contains(err.Error(), tc.hint) || tc.hint == "" && strings.Contains(err.Error(), "-format") {
			t.Errorf("%s: error %v, want %q in it", what, err, tc.hint)
		}
	}
	if _, _, err := collect(t, nil, Options{}); !errors.Is(err, ErrNothing) {
		t.Errorf("error %v, want one that is ErrNothing", err)
	}
}

// TestDirectory is refused with what to do.
func TestDirectory(t *testing.T) {
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	if _, err := Read(t.Context(), "logs", dir, Options{}, nil); err == nil || !strings.Contains(err.Error(), `"logs/*"`) {
		t.Errorf("error %v", err)
	}
}

// TestFile reads one.
func TestFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log.pcap") // the name says nothing
	if err := os.WriteFile(name, []byte(line), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if c, err := Read(t.Context(), name, file, Options{}, func(*Message) {}); err != nil || c.Messages != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestStop stops in the middle of an input that nothing comes from any more, and says what
// came until then.
func TestStop(t *testing.T) {
	r, w := io.Pipe()
	defer func() { _ = w.Close() }()
	go func() { _, _ = w.Write([]byte(line + "\n" + line[:50])) }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var progress Progress
	c, err := Read(ctx, "pipe", r, Options{Progress: &progress}, func(*Message) { cancel() })
	if err != nil || c.Messages != 1 || c.Truncated || progress.Messages.Load() != 1 || progress.Bytes.Load() < int64(len(line)) {
		t.Errorf("%+v, %v", c, err)
	}
	// A line comes out when it is there, not when there are many.
	r, w = io.Pipe()
	came := make(chan time.Time, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = Read(t.Context(), "pipe", r, Options{}, func(m *Message) { came <- m.At })
	}()
	for range 3 {
		_, _ = w.Write([]byte(line + "\n"))
		<-came
	}
	_ = w.Close()
	<-done
}

func FuzzLines(f *testing.F) {
	for _, s := range []string{line, "[INFO] [::1]" + line[8:] + ` "0"`, `{"log":"[INFO] ` + `x","time":"2026-03-01T10:00:00Z"}`,
		`{"plugin":"log","qname":"a.","qtype":"A","qclass":"IN","client_ip":"::1"}`, "[pod/a/b] 2026-03-01T10:00:00.5Z stdout F " + line,
		"<34>1 2026-11-26T10:00:00.5+0100 h coredns 1 - - [INFO] " + line, "<30>Nov  6 10:00:00 h coredns[1]: [INFO] " + line,
		"1795683600.5 h coredns[1]: [INFO] " + line, "\x1b[36mcoredns-1 |\x1b[0m 2026-11-26 10:00:00,5 [INFO] " + line + "\x1b[m",
	} {
		f.Add(s, "{remote} {name} {type}")
	}
	f.Add(`[01/Mar/2026:11:00:00 +0100] a\ b. A 0.1s`, "[{when}] {name} {type} {duration}")
	f.Fuzz(func(t *testing.T, s, format string) {
		if (Options{LogFormat: format}).Check() != nil {
			format = ""
		}
		if strings.HasPrefix(s, "\xfd7zXZ") {
			return // its header says how much to allocate, which is up to 128 MiB
		}
		got, _, _ := collect(t, []byte(s), Options{LogFormat: format})
		for _, m := range got {
			if !strings.HasSuffix(m.Name, ".") || strings.ContainsFunc(m.Name, func(r rune) bool { return r < ' ' || r > '~' }) {
				t.Errorf("name %q", m.Name)
			}
		}
	})
}

// TestWindows has what takes more memory to decompress than there may be.
func TestWindows(t *testing.T) {
	const lines = 3000 // so that there is more than a block, and a header for it
	text := []byte(strings.Repeat(line+"\n", lines))
	window := func(n int) func(io.Writer) (io.WriteCloser, error) {
		return func(w io.Writer) (io.WriteCloser, error) {
			return zstd.NewWriter(w, zstd.WithWindowSize(n), zstd.WithSingleSegment(false), zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
		}
	}
	dictionary := func(n int) func(io.Writer) (io.WriteCloser, error) {
		return func(w io.Writer) (io.WriteCloser, error) {
			// The tree would take eleven times as much.
			return xz.WriterConfig{DictCap: n, Matcher: lzma.HashTable4}.NewWriter(w)
		}
	}
	for what, b := range map[string][]byte{
		"a window of 128 MiB": compressed(t, text, window(128<<20)),
		"a dictionary":        wide(compressed(t, text, dictionary(1<<20)), 30), // of 128 MiB
	} {
		if got, c := read(t, b, Options{}); len(got) != lines || c.Truncated {
			t.Errorf("%s: %d messages, %+v", what, len(got), c)
		}
	}
	for what, tc := range map[string]struct {
		data []byte
		want string
	}{
		"zstd, a window":     {compressed(t, text, window(256<<20)), "zstd -dc --long=31 FILE | ttlstorm find -"},
		"zstd, one segment":  {[]byte("\x28\xb5\x2f\xfd\xa0\x00\x00\x00\x40\x01\x00\x00"), "zstd -dc --long=31 FILE | ttlstorm find -"}, // of 1 GiB
		"xz, a dictionary":   {wide(compressed(t, text, dictionary(1<<20)), 31), "xz -dc FILE | ttlstorm find -"},                       // of 192 MiB
		"xz, the widest one": {wide(compressed(t, text, dictionary(1<<20)), 40), "xz -dc FILE | ttlstorm find -"},
		"xz, sizes in front": {sized(wide(compressed(t, text, dictionary(1<<20)), 40)), "xz -dc FILE | ttlstorm find -"},
	} {
		if _, _, err := collect(t, tc.data, Options{}); err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), `"input"`) {
			t.Errorf("%s: error %v, want %q in it", what, err, tc.want)
		}
	}
}

// The block header behind the 12 octets of a stream header: its length, flags, the filter
// LZMA2 with one octet for the size of its dictionary, and padding (.xz format, sections
// 3.1 and 5.3.1).
const blockAt, blockLength = 12, 12

// wide sets the size of the dictionary.
func wide(b []byte, size byte) []byte {
	b = bytes.Clone(b)
	header := b[blockAt : blockAt+blockLength]
	header[4] = size
	binary.LittleEndian.PutUint32(header[8:], crc32.ChecksumIEEE(header[:8]))
	return b
}

// sized puts the sizes of the block in front of the filter, as "xz -T0" does.
func sized(b []byte) []byte {
	old := b[blockAt : blockAt+blockLength]
	header := append([]byte{3, old[1] | 0xc0, 0x80, 0x01, 0xc8, 0x01}, old[2:5]...)
	header = append(header, 0, 0, 0)
	header = binary.LittleEndian.AppendUint32(header, crc32.ChecksumIEEE(header))
	return slices.Concat(b[:blockAt], header, b[blockAt+blockLength:])
}
