package lab

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// herd has TestJudge be the one that judges, rather than the one that looks at it.
const herd = "TTLSTORM_JUDGE_A_HERD"

// TestJudge has a bound that a run is far above, in a process of its own. It fails, but
// with -seeds, as the documents have it, it reports.
func TestJudge(t *testing.T) {
	if os.Getenv(herd) != "" {
		judge(t, "a herd", []storm.Span{{Second: 9, Mean: 1, SecondRatio: 9}}, 1.03)
		return
	}
	for args, want := range map[string]bool{"": false, "-seeds 100": true} {
		c := exec.CommandContext(t.Context(), os.Args[0], append([]string{"-test.run", "^TestJudge$", "-test.v"}, strings.Fields(args)...)...) // #nosec G204 -- this test
		c.Env = append(os.Environ(), herd+"=1")
		out, err := c.CombinedOutput()
		if (err == nil) != want || !strings.Contains(string(out), "is 9.000 times the mean at most") {
			t.Errorf("%q: %v, want success %v\n%s", args, err, want, out)
		}
	}
}
