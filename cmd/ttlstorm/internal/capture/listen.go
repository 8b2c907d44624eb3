package capture

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/dnstap/golang-dnstap"
	"github.com/farsightsec/golang-framestream"
)

const (
	connections      = 64              // that are read at once; others wait
	handshakeTimeout = 5 * time.Second // between two octets of it
)

// Listen reads dnstap from whoever connects to an address, as the dnstap plugin does,
// until ctx is done. The network is "unix" or "tcp". A socket that was left behind there,
// and that nobody listens on, is removed.
func Listen(ctx context.Context, network, address string, o Options, f func(*Message)) (Counts, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, network, address)
	if err != nil && network == "unix" && abandoned(address) {
		_ = os.Remove(address)
		l, err = config.Listen(ctx, network, address)
	}
	if err != nil {
		return Counts{}, err
	}
	return Serve(ctx, l, o, f)
}

// abandoned says whether path is a socket that nobody listens on.
func abandoned(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode()&fs.ModeSocket == 0 {
		return false
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return err != nil
}

// Serve does what Listen does, with a listener that it closes. It calls f for one message
// at a time, whichever connection it comes from. A connection that breaks ends alone:
// Truncated says that there was one.
func Serve(ctx context.Context, l net.Listener, o Options, f func(*Message)) (Counts, error) {
	in, err := newInput(o, f)
	if err != nil {
		_ = l.Close()
		return Counts{}, err
	}
	in.counts.Format = "dnstap"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	s := &server{in: in}
	var all sync.WaitGroup
	free := make(chan struct{}, connections)
	for {
		free <- struct{}{}
		conn, acceptErr := l.Accept()
		if acceptErr != nil {
			if err = acceptErr; ctx.Err() != nil {
				err = nil
			}
			cancel()
			break
		}
		all.Go(func() {
			s.connection(ctx, conn)
			<-free
		})
	}
	all.Wait()
	_ = l.Close()
	return in.snapshot(), err
}

// server is what connections share.
type server struct {
	mu sync.Mutex
	in *input
}

func (s *server) connection(ctx context.Context, conn net.Conn) {
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer func() {
		stop()
		_ = conn.Close()
	}()
	err := s.read(conn)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.in.counts.Why == "" {
		s.in.counts.Truncated, s.in.counts.Why = true, shorten([]byte(err.Error()))
	}
}

// read reads the frames of a connection. A sender may do without the handshake.
func (s *server) read(conn net.Conn) error {
	_ = conn.SetReadDeadline(time.Now().Add(handshakeTimeout))
	r := bufio.NewReaderSize(s.in.counted(conn), longestLine)
	head, err := r.Peek(12)
	switch {
	case len(head) == 0:
		return err // somebody who looked whether there is a server
	case !isFrames(head):
		s.mu.Lock()
		defer s.mu.Unlock()
		s.in.ignore("", head)
		return errors.New("not frame streams")
	}
	_ = conn.SetReadDeadline(time.Time{})
	frames, err := framestream.NewReader(peeked{conn, r}, &framestream.ReaderOptions{
		ContentTypes: [][]byte{dnstap.FSContentType}, Timeout: handshakeTimeout,
		Bidirectional: head[11] == framestream.CONTROL_READY,
	})
	if err != nil {
		return handshake(err)
	}
	buf := make([]byte, longestFrame)
	for {
		n, err := frames.ReadFrame(buf)
		if err != nil {
			return framing(err)
		}
		s.mu.Lock()
		if s.in.frame(buf[:n]) {
			s.in.emit()
		}
		s.mu.Unlock()
	}
}

// peeked is a connection whose first octets are in r.
type peeked struct {
	net.Conn
	r io.Reader
}

func (p peeked) Read(b []byte) (int, error) { return p.r.Read(b) }
