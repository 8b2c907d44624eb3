//go:build linux

package find

import (
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// TestPages opens the pages that the tool writes in a browser: nothing is wrong with them,
// they load nothing, and each of their pictures is seen, in the light and in the dark.
func TestPages(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, map[string]string{
		"herd.log":  logged("192.0.2.1", herd, 40, 8),
		"storm.log": spun("192.0.2.200", `<script>alert\(1\)</script>.example.`, 900),
		"quiet.log": logged("192.0.2.1", herd, 3, 8),
	})
	at := start(t, corefile()).addr
	for _, c := range []struct {
		name     string
		pictures int // the least that it has
		args     string
	}{
		{"find", 4, "find -html - herd.log storm.log"},
		{"find nothing", 0, "find -html - quiet.log"},
		{"run", 1, "run -html - -for 3s -clients 2 -server " + at + " SRV " + herd},
		{"compare", 1, "compare -html - -for 3s -clients 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := storm(t, dir, "", strings.Fields(c.args)...)
			if o.status != 0 || !strings.HasPrefix(o.stdout, "<!DOCTYPE html>") {
				t.Fatalf("status %d, the page is\n%s\n%s", o.status, o.stdout, o.stderr)
			}
			write(t, dir, map[string]string{"page.html": o.stdout})
			var papers []string
			for _, scheme := range []string{"light", "dark"} {
				p := open(t, "file://"+filepath.Join(dir, "page.html"), scheme)
				if p.wrong != nil {
					t.Errorf("%s: the console shows %q", scheme, p.wrong)
				}
				if len(p.requests) != 1 || !strings.HasSuffix(p.requests[0], "/page.html") {
					t.Errorf("%s: the page loads %q, want itself alone", scheme, p.requests)
				}
				if len(p.pictures) < c.pictures {
					t.Errorf("%s: %d pictures, want %d", scheme, len(p.pictures), c.pictures)
				}
				for i, s := range p.pictures {
					if s.Width < 100 || s.Height < 50 || s.Areas == 0 {
						t.Errorf("%s: picture %d is %.0f wide and %.0f high, and %d areas can be seen in it", scheme, i+1, s.Width, s.Height, s.Areas)
					}
				}
				papers = append(papers, p.paper)
			}
			if papers[0] == papers[1] {
				t.Errorf("the background is %s in the light and in the dark", papers[0])
			}
		})
	}
}

// page is what a browser makes of one.
type page struct {
	wrong    []string // warnings and errors
	requests []string // URLs
	pictures []picture
	paper    string // the color of the background
}

// picture is an svg, as far as it can be seen. Areas are filled, and in a color that is
// not that of the background.
type picture struct {
	Width, Height float64
	Areas         int
}

const pictures = `[...document.querySelectorAll("svg")].map(svg => ({
	Width: svg.checkVisibility() ? svg.getBoundingClientRect().width : 0,
	Height: svg.getBoundingClientRect().height,
	Areas: [...svg.querySelectorAll("path, polygon")].filter(area => {
		const box = area.getBBox(), fill = getComputedStyle(area).fill;
		return box.width > 0 && box.height > 0 && fill != "none" && fill != getComputedStyle(document.body).backgroundColor;
	}).length,
}))`

// open opens a page in Chromium, which is found in PATH, without a network.
func open(t *testing.T, url, scheme string) (p page) {
	t.Helper()
	browser, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatalf("%v; this test needs the Debian package chromium", err)
	}
	var mu sync.Mutex
	seen := func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		case *log.EventEntryAdded:
			p.wrong = append(p.wrong, e.Entry.Text)
		case *runtime.EventConsoleAPICalled:
			b, _ := json.Marshal(e.Args)
			p.wrong = append(p.wrong, string(b))
		case *runtime.EventExceptionThrown:
			p.wrong = append(p.wrong, e.ExceptionDetails.Text)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	ctx, cancel = chromedp.NewExecAllocator(ctx, append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(browser), chromedp.NoSandbox,
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND"))...)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx, chromedp.WithListener(seen))
	defer cancel()
	_, err = chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	})
	if err == nil {
		err = chromedp.Do(ctx, chromedp.Navigate(url))
	}
	if err == nil {
		p.pictures, err = chromedp.Run(ctx, chromedp.Evaluate[[]picture](pictures))
	}
	if err == nil {
		p.paper, err = chromedp.Run(ctx, chromedp.Evaluate[string]("getComputedStyle(document.body).backgroundColor"))
	}
	if err != nil {
		t.Fatalf("chromium: %v", err)
	}
	cancel()
	mu.Lock()
	defer mu.Unlock()
	return p
}
