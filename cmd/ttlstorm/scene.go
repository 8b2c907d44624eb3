package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ttlfloor/ttlfloor/cmd/ttlstorm/internal/storm"
)

// scene is a comparison of treatments of one source.
type scene struct {
	title      string
	ttl, floor int // seconds
	length     time.Duration
	treatments string
}

// The defaults of a scene that flags choose: seven generations of 8 to 12 s, after which
// a herd that is still there is one for ever.
const (
	oneLength     = 80 * time.Second
	oneTTL        = 8 // seconds
	oneFloor      = 8 // seconds
	oneTreatments = "cache 30; ttlfloor, random; ttlfloor, scheduled"
)

// The two scenes that compare has by default, in less than two minutes. The storm
// saturates the machine, so that its treatments take their turns. Those of the herd are
// at the same time. Its schedule settles after three or four generations of 7 to 9 s, and
// shows it for as long.
var (
	theStorm = scene{
		title: "The storm: the source has TTL 0", ttl: 0, floor: 6, length: 15 * time.Second,
		treatments: "nothing; cache 30; ttlfloor, scheduled",
	}
	theHerd = scene{
		title: "The herd: the source has TTL 6", ttl: 6, floor: 6, length: 70 * time.Second,
		treatments: oneTreatments,
	}
)

// The most clients, names and servers that there are at once without servers that take
// time from each other, and the same of other queries a second.
const mostAtOnce = 2000

// atOnce tells whether the treatments of a scene are at the same time.
func (s *scene) atOnce(o *load, treatments int) bool {
	return s.ttl > 1 && o.clients*len(linkerd)*treatments <= mostAtOnce && o.others*treatments <= mostAtOnce
}

func treatmentNames() (names []string) {
	for _, t := range storm.Treatments(1) {
		names = append(names, t.Name)
	}
	return names
}

func chooseTreatments(names string, floor int) (out []storm.Treatment, err error) {
	all := storm.Treatments(floor)
	if names == "all" {
		return all, nil
	}
	for name := range strings.SplitSeq(names, ";") {
		name = strings.TrimSpace(name)
		i := slices.IndexFunc(all, func(t storm.Treatment) bool { return t.Name == name })
		if i < 0 {
			return nil, usagef("-treatments: unknown %q; there are %s", name, strings.Join(treatmentNames(), "; "))
		}
		out = append(out, all[i])
	}
	return out, nil
}

// titleOf is the title of a scene that flags choose.
func titleOf(ttl, floor int) string {
	return fmt.Sprintf("The source has TTL %d, and the floor is %d", ttl, floor)
}
