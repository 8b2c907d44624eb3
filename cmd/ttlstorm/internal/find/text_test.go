package find

import (
	"testing"
	"time"
)

// TestTook has lengths of time in no more detail than they deserve.
func TestTook(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0s", 1500 * time.Microsecond: "2ms", time.Second: "1s", 30*time.Second + 1*time.Millisecond: "30s", 33*time.Second + 440*time.Millisecond: "33.4s",
		time.Minute: "1m", 90 * time.Second: "1m30s", 10 * time.Minute: "10m", time.Hour: "1h", 70 * time.Minute: "1h10m", time.Hour + 10*time.Second: "1h0m10s",
	} {
		if got := took(d); got != want {
			t.Errorf("%d ns: %q, want %q", d, got, want)
		}
	}
}

// TestGrouped has thousands set apart.
func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 12345: "12,345", 10_000_000: "10,000,000", -1000: "-1,000"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}
