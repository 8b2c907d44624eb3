// Package chance is where the laboratory sets the chance that a run has, so that
// the same seed gives the same run.
package chance

// Key is the key in the storage of a caddy.Controller under which the laboratory puts
// its func(n uint32) uint32, which returns a number below n.
type Key struct{}
