package capture

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/dnstap/golang-dnstap"
	"github.com/farsightsec/golang-framestream"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// tap is a frame of dnstap.
func tap(tb testing.TB, typ dnstap.Message_Type, message []byte) []byte {
	tb.Helper()
	m := &dnstap.Message{Type: &typ, QueryAddress: client4.Addr().AsSlice()}
	sec, nsec := uint64(second(0).Unix()), uint32(second(0).Nanosecond())
	later := sec + 1
	m.QueryTimeSec, m.QueryTimeNsec = &sec, &nsec
	if strings.HasSuffix(typ.String(), "RESPONSE") {
		m.ResponseTimeSec, m.ResponseTimeNsec, m.ResponseMessage = &later, &nsec, message
	} else {
		m.QueryMessage = message
	}
	b, err := proto.Marshal(&dnstap.Dnstap{Type: dnstap.Dnstap_MESSAGE.Enum(), Message: m})
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// frames is a file.
func frames(tb testing.TB, contentType string, all ...[]byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := framestream.NewWriter(&b, &framestream.WriterOptions{ContentTypes: [][]byte{[]byte(contentType)}})
	if err != nil {
		tb.Fatal(err)
	}
	for _, frame := range all {
		if _, err := w.WriteFrame(frame); err != nil {
			tb.Fatal(err)
		}
	}
	_ = w.Close()
	return b.Bytes()
}

// TestDnstap has files of it.
func TestDnstap(t *testing.T) {
	const ours = "protobuf:dnstap.Dnstap"
	q := tap(t, dnstap.Message_CLIENT_QUERY, query(t, "A.example.", dns.TypeA))
	a := tap(t, dnstap.Message_CLIENT_RESPONSE, answer(t, "a.example.", 30))
	upstream := tap(t, dnstap.Message_FORWARDER_QUERY, query(t, "a.example.", dns.TypeA))
	two := []Message{queried(0, client4), answered(1, client4, 30)}
	good := frames(t, ours, q, a)
	var ready bytes.Buffer
	control := framestream.ControlReady
	control.SetContentType([]byte(ours))
	if err := control.Encode(&ready); err != nil {
		t.Fatal(err)
	}
	for what, tc := range map[string]struct {
		file    []byte
		want    []Message
		ignored int64
		cut     bool
		err     string
	}{
		"one way":                {file: good, want: two},
		"with a handshake":       {file: append(bytes.Clone(ready.Bytes()), good...), want: two},
		"two files":              {file: append(bytes.Clone(good), good...), want: append(two[:2:2], two...)},
		"without content type":   {file: frames(t, ours, q, a)[:], want: two},
		"of others":              {file: frames(t, ours, upstream, q, tap(t, dnstap.Message_RESOLVER_RESPONSE, answer(t, "a.", 1))), want: two[:1], ignored: 2},
		"a broken frame":         {file: frames(t, ours, q, []byte("\xff\xff")), want: two[:1], ignored: 1},
		"a broken message":       {file: frames(t, ours, q, tap(t, dnstap.Message_CLIENT_QUERY, []byte("?"))), want: two[:1], ignored: 1},
		"an answer as a query":   {file: frames(t, ours, q, tap(t, dnstap.Message_CLIENT_QUERY, answer(t, "a.", 1))), want: two[:1], ignored: 1},
		"without STOP":           {file: good[:len(good)-12], want: two},
		"cut in a frame":         {file: good[:len(good)-13], want: two[:1], cut: true},
		"cut in a length":        {file: append(bytes.Clone(good[:len(good)-12]), 0, 0), want: two, cut: true},
		"a frame that is long":   {file: frames(t, ours, q, make([]byte, longestFrame+1), a), want: two[:1], cut: true},
		"rubbish after the end":  {file: append(bytes.Clone(good), "rubbish, and more"...), want: two, cut: true},
		"of something else":      {file: frames(t, "protobuf:other", q), err: "frame streams of something else"},
		"without messages":       {file: frames(t, ours, tap(t, dnstap.Message_CLIENT_QUERY, nil)), err: `with "full" in the Corefile`},
		"nothing":                {file: frames(t, ours), err: "no message in it"},
		"cut in the handshake":   {file: good[:20], err: "unexpected EOF"},
		"only those of upstream": {file: frames(t, ours, upstream), err: "FORWARDER_QUERY, where CLIENT_QUERY"},
	} {
		t.Run(what, func(t *testing.T) {
			got, c, err := collect(t, tc.file, Options{})
			switch {
			case tc.err != "":
				if err == nil || !strings.Contains(err.Error(), tc.err) || strings.Contains(err.Error(), "\n") {
					t.Errorf("error %v, want %q", err, tc.err)
				}
				return
			case err != nil:
				t.Fatal(err)
			}
			same(t, got, tc.want)
			if c.Ignored != tc.ignored || c.Truncated != tc.cut || c.Format != "dnstap" {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestServe has several senders at once, with and without handshake, and some who break
// off.
func TestServe(t *testing.T) {
	const senders, each = 4, 50
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got int // guarded by Serve, which calls for one at a time
	enough := make(chan struct{})
	done := make(chan struct{})
	var c Counts
	var progress Progress
	go func() {
		defer close(done)
		c, err = Serve(ctx, l, Options{Progress: &progress}, func(m *Message) {
			if m.Client != client4.Addr() || m.Name != "a.example." {
				t.Errorf("%+v", m)
			}
			if got++; got == senders*each {
				close(enough)
			}
		})
	}()
	frame := tap(t, dnstap.Message_CLIENT_QUERY, query(t, "a.example.", dns.TypeA))
	dial := func() net.Conn {
		conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
		if err != nil {
			t.Error(err)
		}
		return conn
	}
	for _, rubbish := range []string{"", "GET / HTTP/1.1\r\n\r\n", string(frames(t, "protobuf:dnstap.Dnstap", frame)[:50])} {
		conn := dial()
		_, _ = conn.Write([]byte(rubbish))
		_ = conn.Close()
	}
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			conn := dial()
			defer func() { _ = conn.Close() }()
			w, err := framestream.NewWriter(conn, &framestream.WriterOptions{ContentTypes: [][]byte{dnstap.FSContentType}, Bidirectional: i%2 == 0})
			if err != nil {
				t.Error(err)
				return
			}
			for range each {
				_, _ = w.WriteFrame(frame)
			}
			if err := w.Close(); err != nil { // which waits for FINISH
				t.Error(err)
			}
		})
	}
	all.Wait()
	select {
	case <-enough:
	case <-t.Context().Done():
	}
	cancel()
	<-done
	if err != nil || c.Messages != senders*each || progress.Messages.Load() != c.Messages || c.Bytes != progress.Bytes.Load() || c.Bytes == 0 {
		t.Errorf("%+v, %v", c, err)
	}
}

// socketDir is for sockets, whose paths have 104 octets at most.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "tap") //nolint:usetesting // the paths of testing are longer
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestListen takes the place of a socket that was left behind, and not that of a server.
func TestListen(t *testing.T) {
	path := filepath.Join(socketDir(t), "tap")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(t.Context(), "unix", path, Options{}, func(*Message) {}); err == nil {
		t.Error("somebody else listens there")
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error)
	go func() {
		_, err := Listen(ctx, "unix", path, Options{}, func(*Message) { cancel() })
		done <- err
	}()
	var conn net.Conn
	for conn == nil {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
			conn, _ = new(net.Dialer).DialContext(t.Context(), "unix", path)
		}
	}
	_, _ = conn.Write(frames(t, string(dnstap.FSContentType), tap(t, dnstap.Message_CLIENT_QUERY, query(t, "a.example.", dns.TypeA))))
	if err := <-done; err != nil {
		t.Error(err)
	}
	_ = conn.Close()
	if _, err := Listen(t.Context(), "unix", path, Options{LogFormat: "x"}, nil); err == nil {
		t.Error("options are not checked")
	}
}

// FuzzDnstap reads files of frames.
func FuzzDnstap(f *testing.F) {
	f.Add(frames(f, "protobuf:dnstap.Dnstap", tap(f, dnstap.Message_CLIENT_QUERY, query(f, "a.example.", dns.TypeA))))
	f.Add(binary.BigEndian.AppendUint32(frames(f, "protobuf:dnstap.Dnstap"), 1<<31))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= 12 && isFrames(b[:12]) {
			_, _, _ = collect(t, b, Options{})
		}
	})
}
