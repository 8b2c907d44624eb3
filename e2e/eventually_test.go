package e2e

import (
	"testing"
	"time"

	"github.com/ttlfloor/ttlfloor/e2e/internal/process"
)

// patience is how long a test waits for what has to come, however slow the
// machine is.
const patience = 3 * time.Minute

// eventually calls f until it returns nil, and fails with its last error after d.
func eventually(t *testing.T, d time.Duration, f func() error) {
	t.Helper()
	if err := process.Poll(d, f); err != nil {
		t.Fatalf("after %v: %v", d, err)
	}
}
