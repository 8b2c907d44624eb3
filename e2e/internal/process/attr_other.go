//go:build !linux

package process

import "syscall"

// diesWithParent can only be said on Linux. Elsewhere children are killed by
// cleanups, which a test that panics or runs out of time does not get to.
func diesWithParent() *syscall.SysProcAttr { return nil }
