// Command rootfs writes the archive of a root file system that an image from
// scratch is made of. The same files give the same archive, octet for octet:
//
//	rootfs -o rootfs.tar -time 1700000000 -bind coredns coredns=bin/coredns LICENSE=LICENSE
package main

import (
	"archive/tar"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	out := flag.String("o", "", "the archive to write")
	epoch := flag.Int64("time", 0, "time of the files, in seconds since 1970")
	bind := flag.String("bind", "", "the file that may bind ports below 1024 when it does not run as root")
	flag.Usage = func() {
		_, _ = fmt.Fprintln(flag.CommandLine.Output(), "usage: rootfs -o ARCHIVE [-time SECONDS] [-bind NAME] NAME=FILE...")
		flag.PrintDefaults()
	}
	flag.Parse()
	if *out == "" || flag.NArg() == 0 {
		flag.Usage()
		os.Exit(2)
	}
	f, err := os.Create(*out)
	if err == nil {
		err = write(f, time.Unix(*epoch, 0), *bind, flag.Args())
	}
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		log.Fatal(err)
	}
}

// write writes the archive of files, each "NAME=FILE", all of root's.
func write(w io.Writer, mtime time.Time, bind string, files []string) error {
	archive := tar.NewWriter(w)
	bound := bind == ""
	for _, arg := range files {
		name, file, ok := strings.Cut(arg, "=")
		if !ok || name == "" || name != path.Base(name) {
			return fmt.Errorf("%q: a name in the root directory, = and a file are accepted", arg)
		}
		header := &tar.Header{Name: name, Mode: 0o444, ModTime: mtime, Format: tar.FormatPAX}
		if name == bind {
			header.PAXRecords = map[string]string{"SCHILY.xattr.security.capability": mayBind()}
			bound = true
		}
		if err := add(archive, header, file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if !bound {
		return fmt.Errorf("%q is none of the files", bind)
	}
	return archive.Close()
}

// add copies a file, which others may run if its owner may.
func add(archive *tar.Writer, header *tar.Header, file string) error {
	f, err := os.Open(file) //nolint:gosec // the files are named by whoever builds the image
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode()&0o100 != 0 {
		header.Mode = 0o555
	}
	header.Size = info.Size()
	if err := archive.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(archive, f)
	return err
}

// mayBind returns the file capability cap_net_bind_service=ep, as the kernel
// has it in the attribute security.capability (linux/capability.h, revision 2).
// A container that adds NET_BIND_SERVICE and is not root has it only so: what
// the runtime gave is lost in the exec of a file without.
func mayBind() string {
	const (
		revision2 = 0x02000000
		effective = 1
		netBind   = 1 << 10
	)
	var b []byte
	for _, word := range []uint32{revision2 | effective, netBind, 0, 0, 0} { // permitted, inheritable, and their upper halves
		b = binary.LittleEndian.AppendUint32(b, word)
	}
	return string(b)
}
