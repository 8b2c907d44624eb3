package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
	"github.com/urfave/cli/v3"
)

// files are what flags name for reports to go to, by the flag.
type files struct{ json, csv, html, png, svg string }

// flags are those of the files.
func (f *files) flags() []cli.Flag {
	file := func(name, usage string, to *string) cli.Flag {
		return &cli.StringFlag{Name: name, Usage: "`FILE` for " + usage, Destination: to, TakesFile: true, Category: filesCategory}
	}
	return []cli.Flag{
		file("json", "all that was measured", &f.json),
		file("csv", "queries per second", &f.csv),
		file("html", "a page with what was run, the table and a picture", &f.html),
		file("png", "a picture", &f.png),
		file("svg", "a picture", &f.svg),
	}
}

// outputs are where reports go.
type outputs struct {
	table io.Writer
	files []*output
}

// output is a file that a flag names.
type output struct {
	flag string
	to   io.Writer
	file *os.File // nil for standard output
	info os.FileInfo
	made bool // by this run, with nothing in it yet
}

func (f *output) regular() bool { return f.file != nil && f.info.Mode().IsRegular() }

// open opens the files that flags name, so that one that cannot be written is known
// before the run. What is in a file stays until there is something to write.
func (f *files) open(stdout, stderr io.Writer) (*outputs, error) {
	out := &outputs{table: stdout}
	for _, n := range []struct{ flag, path string }{{"json", f.json}, {"csv", f.csv}, {"html", f.html}, {"png", f.png}, {"svg", f.svg}} {
		if n.path == "" {
			continue
		}
		if err := out.open(n.flag, n.path, stdout, stderr); err != nil {
			out.close()
			return nil, err
		}
	}
	return out, nil
}

func (o *outputs) open(flag, path string, stdout, stderr io.Writer) error {
	n := &output{flag: flag, to: stdout}
	switch {
	case path == "-" || path == "/dev/stdout":
		o.table = stderr
	case path[0] == '-':
		return usagef("-%s %s: a file has no dash in front; write ./%s for one that has", flag, path, path)
	default:
		_, missing := os.Stat(path)
		// Without O_NONBLOCK a pipe that nobody reads would hold up the run, and an interrupt with it.
		file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|syscall.O_NONBLOCK, 0o644) // #nosec G302 G304 -- named by the user, readable by all
		if err != nil {
			return fmt.Errorf("-%s %s: cannot be written (%w); name a file in a directory that exists and can be written", flag, path, errors.Unwrap(err))
		}
		n.to, n.file, n.made = file, file, errors.Is(missing, fs.ErrNotExist)
		if n.info, err = file.Stat(); err != nil {
			return err
		}
	}
	same := slices.IndexFunc(o.files, func(f *output) bool {
		return n.file == f.file || n.regular() && os.SameFile(n.info, f.info)
	})
	o.files = append(o.files, n)
	if same >= 0 {
		return usagef("-%s %s: -%s has the same file; each needs one of its own", flag, path, o.files[same].flag)
	}
	return nil
}

// close closes the files, and removes those that would stay empty.
func (o *outputs) close() {
	for _, f := range o.files {
		if f.file != nil {
			_ = f.file.Close()
		}
		if f.made {
			path, _ := filepath.EvalSymlinks(f.file.Name())
			_ = os.Remove(path)
		}
	}
}

// write writes the table, and the files that were asked for. It fails, after that,
// where a run had no answer.
func (o *outputs) write(reports []storm.Report) error {
	err := storm.Text(o.table, reports)
	for _, f := range o.files {
		if e := f.write(reports); e != nil && err == nil { // the others are still worth having
			err = fmt.Errorf("-%s: %w", f.flag, e)
		}
	}
	for _, r := range reports {
		if err == nil && r.Queries > 0 && len(r.TTLs) == 0 {
			err = fmt.Errorf("%s: none of %d queries had an answer (errors: %s); does the server have the names?", r.Name, r.Queries, storm.ErrorList(r.Errors))
		}
	}
	return err
}

func (f *output) write(reports []storm.Report) error {
	var b bytes.Buffer
	if err := render(&b, f.flag, reports); err != nil {
		return err
	}
	return f.put(b.Bytes())
}

// put writes all that there is to write. A regular file has all of it, or what was there
// before.
func (f *output) put(b []byte) error {
	var err error
	if f.regular() {
		err = replace(f.file, f.info.Mode().Perm(), b)
	} else {
		_, err = f.to.Write(b)
	}
	if err != nil {
		return err
	}
	f.made = false
	return nil
}

// replace puts a file in the place of one that is open. It writes to that one where it
// cannot: where the directory is not to be written, or the file is a mount of its own.
func replace(old *os.File, mode os.FileMode, b []byte) error {
	path, err := filepath.EvalSymlinks(old.Name())
	if err != nil {
		return overwrite(old, b)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".ttlstorm-*")
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		return overwrite(old, b)
	case err != nil:
		return unchanged(path, err)
	}
	defer func() { _ = os.Remove(file.Name()) }() // it has another name where all is well
	_, err = file.Write(b)
	if e := file.Close(); err == nil {
		err = e
	}
	if err != nil {
		return unchanged(path, err)
	}
	if os.Chmod(file.Name(), mode) != nil || os.Rename(file.Name(), path) != nil {
		return overwrite(old, b)
	}
	return nil
}

// unchanged is an error about a file that is as it was.
func unchanged(path string, err error) error {
	return fmt.Errorf("%s: cannot be written (%w), and is as it was; name a file where there is space", path, errors.Unwrap(err))
}

// overwrite writes to a file what it is to have.
func overwrite(file *os.File, b []byte) error {
	if err := file.Truncate(0); err != nil {
		return err
	}
	_, err := file.Write(b)
	return err
}

// render writes reports in the format that a flag stands for.
func render(w io.Writer, flag string, reports []storm.Report) error {
	switch flag {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(reports)
	case "csv":
		return writeCSV(w, reports)
	case "html":
		return storm.HTML(w, reports)
	}
	return storm.Draw(w, flag, reports)
}
