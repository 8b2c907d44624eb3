package neighbours

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coredns/coredns/plugin/metrics"
	clog "github.com/coredns/coredns/plugin/pkg/log"

	tap "github.com/dnstap/golang-dnstap"
	"github.com/miekg/dns"
	"google.golang.org/protobuf/proto"
)

// TestShown has log, dnstap and prometheus show the TTL that went out.
func TestShown(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	responses := make(chan *dns.Msg, 1)
	go func() {
		defer close(responses)
		m, err := tapped(l)
		if err != nil {
			t.Error(err)
			return
		}
		responses <- m
	}()
	var logged bytes.Buffer
	clog.SetOutput(&logged)
	defer clog.SetOutput(os.Stdout)

	var ttl uint32
	t.Run("server", func(t *testing.T) { // is stopped at its end, so that all is written
		s := start(t, `shown.example:0 {
	bind 127.0.0.1
	metadata
	prometheus 127.0.0.1:0
	log . "shown {/ttlfloor/received-ttl} {/ttlfloor/served-ttl}."
	dnstap `+socket+` full
	ttlfloor 30s
	template IN A {
		answer "{{ .Name }} 7 IN A 192.0.2.1"
	}
}`)
		answer := s.ask(t, new(dns.Msg).SetQuestion("a.shown.example.", dns.TypeA), "udp")
		ttl = answer.Answer[0].Header().Ttl
		if ttl < 33 || ttl > 45 {
			t.Fatalf("TTL %d, want 33 to 45", ttl)
		}
		if got := <-responses; got == nil || got.String() != answer.String() {
			t.Errorf("dnstap shows\n%v\nthe client has\n%v", got, answer)
		}

		page, err := http.Get("http://" + metrics.ListenAddr + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = page.Body.Close() }()
		text, err := io.ReadAll(page.Body)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]uint32{"received": 7, "served": ttl} {
			want := fmt.Sprintf("coredns_ttlfloor_%s_ttl_seconds_sum{server=\"dns://127.0.0.1:0\",view=\"\",zone=\"shown.example.\"} %d\n", name, want)
			if !strings.Contains(string(text), want) {
				t.Errorf("prometheus does not show %s", want)
			}
		}
	})
	if want := fmt.Sprintf("shown 7 %d.", ttl); !strings.Contains(logged.String(), want) {
		t.Errorf("log does not show %q:\n%s", want, &logged)
	}
}

// tapped returns the first response to a client that dnstap sends.
func tapped(l net.Listener) (*dns.Msg, error) {
	conn, err := l.Accept()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	r, err := tap.NewReader(conn, &tap.ReaderOptions{Bidirectional: true})
	if err != nil {
		return nil, err
	}
	frame := make([]byte, 1<<16)
	for {
		n, err := r.ReadFrame(frame)
		if err != nil {
			return nil, err
		}
		var d tap.Dnstap
		if err := proto.Unmarshal(frame[:n], &d); err != nil {
			return nil, err
		}
		if d.GetMessage().GetType() == tap.Message_CLIENT_RESPONSE {
			m := new(dns.Msg)
			return m, m.Unpack(d.GetMessage().GetResponseMessage())
		}
	}
}
