package lab

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestQueue compares the heap with a sorted list.
func TestQueue(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var q queue
	var list []event
	for i := range int32(20_000) {
		switch {
		case len(list) == 0 || r.IntN(3) == 0:
			e := event{r.Int64N(50), i}
			q.push(e)
			list = append(list, e)
		case r.IntN(2) == 0:
			q.pop()
			list = list[1:]
		default:
			list[0].at = r.Int64N(50)
			q.setTop(list[0].at)
		}
		slices.SortFunc(list, func(a, b event) int {
			if a.before(b) {
				return -1
			}
			return 1
		})
		if q.len() != len(list) || len(list) > 0 && q.top() != list[0] {
			t.Fatalf("the first of %d is not that of the list", q.len())
		}
	}
}
