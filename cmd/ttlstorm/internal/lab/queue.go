package lab

// event is the next query of a client.
type event struct {
	at     int64 // nanoseconds since the start
	client int32
}

func (e event) before(o event) bool { return e.at < o.at || e.at == o.at && e.client < o.client }

// queue is a heap of events with four children to a parent, by time and then by
// client, so that a run is the same every time.
type queue []event

func (q *queue) len() int   { return len(*q) }
func (q *queue) top() event { return (*q)[0] }
func (q *queue) push(e event) {
	*q = append(*q, e)
	h := *q
	i := len(h) - 1
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(h[parent]) {
			break
		}
		h[i], i = h[parent], parent
	}
	h[i] = e
}

// setTop gives the first event another time.
func (q *queue) setTop(at int64) { q.down(event{at, (*q)[0].client}) }

func (q *queue) pop() {
	h := *q
	last := h[len(h)-1]
	*q = h[:len(h)-1]
	if len(*q) > 0 {
		q.down(last)
	}
}

// down puts e in the place of the first.
func (q *queue) down(e event) {
	h := *q
	i := 0
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for j := first + 1; j < min(first+4, len(h)); j++ {
			if h[j].before(h[least]) {
				least = j
			}
		}
		if !h[least].before(e) {
			break
		}
		h[i], i = h[least], least
	}
	h[i] = e
}
