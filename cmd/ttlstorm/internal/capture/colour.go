package capture

import "bytes"

// uncoloured returns b without what colours it on a terminal (ECMA-48, section 5.4), in a
// buffer that is used again. Most lines have none, and are returned as they are.
func (in *input) uncoloured(b []byte) []byte {
	i := bytes.IndexByte(b, '\x1b')
	if i < 0 {
		return b
	}
	out := in.plain[:0]
	for ; i >= 0; i = bytes.IndexByte(b, '\x1b') {
		out = append(out, b[:i]...)
		n := control(b[i:])
		if n == 0 { // something else, which stays
			out, n = append(out, b[i]), 1
		}
		b = b[i+n:]
	}
	in.plain = append(out, b...)
	return in.plain
}

// control is how many octets a control sequence has that b begins with, or 0.
func control(b []byte) int {
	if len(b) < 2 || b[1] != '[' {
		return 0
	}
	for i, c := range b[2:] {
		switch {
		case c >= '@' && c <= '~':
			return i + 3
		case c < ' ' || c > '?':
			return 0
		}
	}
	return 0
}
