package capture

import (
	"bytes"
	"encoding/json"
	"math"
	"time"
)

// jsonLine is a line of CoreDNS with -log-format=json, or one that Docker's json-file
// driver made of one in any format. What is missing is nil.
type jsonLine struct {
	Time time.Time
	// Docker
	Log *string
	// CoreDNS
	Plugin   string
	Client   string  `json:"client_ip"`
	Name     string  `json:"qname"`
	Type     string  `json:"qtype"`
	Class    string  `json:"qclass"`
	Rcode    string  // null if there was no response
	Opcode   int     // of the query
	Duration float64 `json:"duration_seconds"`
}

// json reads a line of either into the message. The time in front of the line is later,
// and more precise, than that in it.
func (in *input) json(b []byte) bool {
	var l jsonLine
	if json.Unmarshal(b, &l) != nil {
		return false
	}
	if in.m.At.IsZero() {
		in.m.At = l.Time.UTC()
	}
	switch {
	case l.Log != nil:
		_, inner, _ := in.head(bytes.TrimRight([]byte(*l.Log), "\r\n"))
		l.Log = nil
		if len(inner) > 0 && inner[0] == '{' {
			return json.Unmarshal(inner, &l) == nil && l.Log == nil && in.jsonQuery(l)
		}
		return in.text(in.m.At, inner)
	default:
		return in.jsonQuery(l)
	}
}

func (in *input) jsonQuery(l jsonLine) bool {
	if l.Plugin != "log" || l.Opcode != 0 || !(l.Duration >= 0 && l.Duration < math.MaxInt32) {
		return false
	}
	in.m.answered(time.Duration(l.Duration * float64(time.Second)))
	return in.fields(&in.m, fields{
		host: []byte(l.Client), typ: []byte(l.Type), class: []byte(l.Class), name: []byte(l.Name), rcode: []byte(l.Rcode),
	})
}
