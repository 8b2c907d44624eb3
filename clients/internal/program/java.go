package program

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Clients of Java. Each has a Driver.java, and those of Maven a pom.xml beside it.

// Versions of what Maven brings.
const (
	nettyVersion       = "4.1.140.Final"
	serviceTalkVersion = "0.42.62"
	grpcJavaVersion    = "1.85.1"
)

// debianJava are the packages to build and run a client of Java.
var debianJava = []string{"openjdk-17-jdk-headless", "maven"}

var _ = register(&Program{
	Name: "java", Title: "OpenJDK `InetAddress`, without a security manager",
	Packages: []string{"openjdk-17-jdk-headless"}, Version: append(java(), "-version"),
	Install: javac("java", ""), Start: startJava(""),
})

var _ = register(&Program{
	Name: "netty", Title: "Netty `DnsAddressResolverGroup`",
	Packages: debianJava, Version: javaVersion(nettyVersion),
	Install: javac("netty", nettyVersion), Start: startJava(nettyVersion),
})

var _ = register(&Program{
	Name: "servicetalk", Title: "ServiceTalk `DnsServiceDiscoverers`, which ends at the first error",
	Packages: debianJava, Version: javaVersion(serviceTalkVersion),
	Install: javac("servicetalk", serviceTalkVersion), Start: startJava(serviceTalkVersion),
})

var _ = register(&Program{
	Name: "grpc-java", Title: "gRPC for Java, `dns:///` with `round_robin`",
	Packages: debianJava, Version: javaVersion(grpcJavaVersion),
	Install: javac("grpc-java", grpcJavaVersion), Start: startJava(grpcJavaVersion),
})

// javaPath is where the classes of a client are, and the libraries of its version.
func javaPath(dir, version string) string {
	if version == "" {
		return filepath.Join(dir, "classes")
	}
	return filepath.Join(dir, "classes") + ":" + filepath.Join(dir, version, "*")
}

// javac returns what gets the libraries of a version, if there are any, and builds the
// driver of a folder of programs/.
func javac(folder, version string) func(ctx context.Context, dir string) error {
	return func(ctx context.Context, dir string) error {
		source := filepath.Join("programs", folder)
		if version != "" {
			if err := mvn(ctx, source, dir, version); err != nil {
				return err
			}
		}
		return run(ctx, source, "javac", "-cp", javaPath(dir, version), "-d", filepath.Join(dir, "classes"), "Driver.java")
	}
}

// mvn copies what a pom.xml depends on to dir/version.
func mvn(ctx context.Context, source, dir, version string) error {
	libraries := filepath.Join(dir, version)
	if _, err := os.Stat(libraries); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part := libraries + ".part" // until all of them are there
	if err := run(ctx, source, "mvn", "-q", "-B", "-Dclient.version="+version, "dependency:copy-dependencies", "-DoutputDirectory="+part); err != nil {
		return err
	}
	return os.Rename(part, libraries)
}

// java is the command. Its counters are off, whose file has the name of the process ID: those
// of two cells are the same, and the second one warns on its standard output.
func java() []string { return []string{"java", "-XX:-UsePerfData"} }

func javaVersion(version string) []string {
	return append(java(), "-cp", javaPath("{dir}", version), "Driver", "version")
}

// startJava returns what starts the driver. Libraries unpack what they bring in the cell.
func startJava(version string) func(c *Cell) (Use, error) {
	return func(c *Cell) (Use, error) {
		return driver(c, append(java(), "-Djava.io.tmpdir="+c.Dir, "-cp", javaPath(c.Installed, version), "Driver")...)
	}
}
