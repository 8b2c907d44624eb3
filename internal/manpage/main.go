// Command manpage writes the README as a man page, as CoreDNS has one for each
// of its plugins:
//
//	go run ./internal/manpage < README.md > man/coredns-ttlfloor.7
//
// It knows the Markdown that the README uses, and refuses what it does not know
// rather than let it through garbled.
package main

import (
	"io"
	"log"
	"os"
)

func main() {
	log.SetFlags(0)
	readme, err := io.ReadAll(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	page, err := convert(string(readme))
	if err != nil {
		log.Fatalf("README.md:%v", err)
	}
	if _, err := os.Stdout.WriteString(page); err != nil {
		log.Fatal(err)
	}
}
