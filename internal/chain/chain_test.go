package chain

import (
	"slices"
	"strings"
	"testing"

	"github.com/coredns/coredns/core/dnsserver"
)

func TestInsert(t *testing.T) {
	in := []string{"log", "tsig", "rewrite", "cache"}
	got, err := Insert(in)
	if want := []string{"log", "tsig", "ttlfloor", "rewrite", "cache"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
	if !slices.Equal(in, []string{"log", "tsig", "rewrite", "cache"}) {
		t.Errorf("the order that was given is %q now", in)
	}
	if _, err := Insert([]string{"log", "cache"}); err == nil || !strings.Contains(err.Error(), `"tsig"`) {
		t.Errorf("without tsig: error %v, want one that names it", err)
	}
}

func TestSet(t *testing.T) {
	for range 2 { // the second time changes nothing
		if err := Set(); err != nil {
			t.Fatal(err)
		}
	}
	i := slices.Index(dnsserver.Directives, "ttlfloor")
	if i < 1 || dnsserver.Directives[i-1] != "tsig" || slices.Contains(dnsserver.Directives[i+1:], "ttlfloor") {
		t.Errorf("the order is %q", dnsserver.Directives)
	}
}
