// Package chance is where the laboratory sets the chance that a run has, so that
// the same seed gives the same run.
package chance

// Key is that of a caddy.Controller's storage for a func(n uint32) uint32, which
// returns a number below n.
type Key struct{}
