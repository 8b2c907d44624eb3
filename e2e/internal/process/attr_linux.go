package process

import "syscall"

// diesWithParent has the kernel kill a child when the test is gone, however it went.
func diesWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
