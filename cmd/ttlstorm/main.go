// Command ttlstorm asks a DNS server as programs do that follow TTLs: each of
// its clients resolves a name, waits until the TTL has run out, and resolves it
// again. It shows how many queries come of that, how evenly, and of which TTLs. A
// server on loopback sees each client at an address of its own, where the system has
// that many.
//
//	ttlstorm run -server 127.0.0.1:1053 -clients 500 -for 2m -model linkerd SRV dst.linkerd.svc.cluster.local
//	ttlstorm run -server 127.0.0.1:1053 -others 400 SRV dst.linkerd.svc.cluster.local
//	ttlstorm compare -png out.png
//	ttlstorm models
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "ttlstorm:", err)
	}
	os.Exit(status(err))
}

// usageError is a mistake in the arguments.
type usageError string

func (e usageError) Error() string { return string(e) }

func usagef(format string, args ...any) error { return usageError(fmt.Sprintf(format, args...)) }

// status is the exit status: 2 for usage, 1 for any other failure.
func status(err error) int {
	if err == nil {
		return 0
	}
	if _, ok := errors.AsType[usageError](err); ok {
		return 2
	}
	return 1
}
