package program

// gRPC, which looks a name up when a connection ends, and not otherwise.

var _ = register(grpcGo("grpc-go", "gRPC-Go, `dns:///`, connections that stay"))

var _ = register(grpcGo("grpc-go-ended", "gRPC-Go, `dns:///`, connections that the server ends after 1 s", "1s"))

// grpcGo returns an entry for the program of programs/grpcgo with arguments. Its version
// is in the go.mod there.
func grpcGo(name, title string, args ...string) *Program {
	return &Program{
		Name: name, Title: title, Version: []string{"{dir}/driver", "version"},
		Install: build("grpcgo"),
		Start: func(c *Cell) (Use, error) {
			return driver(c, append([]string{c.Installed + "/driver"}, args...)...)
		},
	}
}
