// Command driver looks up the names on its standard input with Go's own resolver.
package main

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"strings"
)

func main() {
	r := net.Resolver{PreferGo: true}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		number, name, _ := strings.Cut(lines.Text(), " ")
		go func() {
			addrs, err := r.LookupNetIP(context.Background(), "ip4", name)
			if err != nil {
				fmt.Println(number, "-", err)
				return
			}
			fmt.Println(number, addrs[0])
		}()
	}
}
