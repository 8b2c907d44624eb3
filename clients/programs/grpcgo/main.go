// Command driver uses the names on its standard input through gRPC, each with a connection
// of its own. The servers that the names have are here, too: they answer RPCs, and with an
// argument they end each connection when it has that age.
package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"
)

// port is where the servers listen.
const port = "8081"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "version" {
		fmt.Println(grpc.Version)
		return
	}
	var options []grpc.ServerOption
	if len(os.Args) == 2 {
		age, err := time.ParseDuration(os.Args[1])
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: age}))
	}
	for i := range 20 { // the addresses that names come to have
		host := fmt.Sprintf("127.1.0.%d", i+1)
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			log.Fatal(err)
		}
		s := grpc.NewServer(options...)
		grpc_health_v1.RegisterHealthServer(s, health.NewServer())
		go func() { log.Fatal(s.Serve(l)) }()
	}
	conns := map[string]*grpc.ClientConn{}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		number, name, _ := strings.Cut(lines.Text(), " ")
		conn := conns[name]
		if conn == nil {
			var err error
			conn, err = grpc.NewClient("dns:///"+net.JoinHostPort(name, port),
				grpc.WithTransportCredentials(insecure.NewCredentials()),
				grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
			if err != nil {
				log.Fatal(err)
			}
			conns[name] = conn
		}
		go func() {
			address, err := call(conn)
			if err != nil {
				fmt.Println(number, "-", strings.ReplaceAll(err.Error(), "\n", " "))
				return
			}
			fmt.Println(number, address)
		}()
	}
}

// call does an RPC, and returns the address of the server that answered.
func call(conn *grpc.ClientConn) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	var p peer.Peer
	_, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{}, grpc.Peer(&p))
	if err != nil {
		return "", err
	}
	host, _, err := net.SplitHostPort(p.Addr.String())
	return host, err
}
