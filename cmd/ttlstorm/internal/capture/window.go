package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz/lzma"
)

// widestWindow is how far back what is decompressed may refer to, in octets, as "zstd -d"
// takes it. That much is kept in memory.
const widestWindow = 128 << 20

// tooWide says what to do about what refers to more.
func tooWide(decompress string) error {
	return fmt.Errorf("more than %d MiB of memory to decompress; let another do it, as in: %s FILE | ttlstorm find -", widestWindow>>20, decompress)
}

// newZstd decompresses zstd.
func newZstd(r io.Reader) (io.Reader, func(), error) {
	z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(widestWindow))
	if err != nil {
		return r, func() {}, err
	}
	return readerFunc(func(p []byte) (int, error) {
		n, err := z.Read(p)
		if errors.Is(err, zstd.ErrWindowSizeExceeded) || errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			err = tooWide("zstd -dc --long=31")
		}
		return n, err
	}), z.Close, nil
}

// dictionary is the size of that of the first block of an xz file, or 0 if the header does
// not say (.xz format, sections 3.1 and 5.3.1). All blocks that xz writes have the same.
func dictionary(head []byte) int64 {
	const streamHeader, lzma2 = 12, 0x21
	if len(head) < streamHeader+2 {
		return 0
	}
	flags, b := head[streamHeader+1], head[streamHeader+2:]
	for _, has := range []byte{0x40, 0x80} { // the sizes with and without compression
		if flags&has == 0 {
			continue
		}
		_, n := binary.Uvarint(b)
		if n <= 0 {
			return 0
		}
		b = b[n:]
	}
	if len(b) < 3 || b[0] != lzma2 || b[1] != 1 {
		return 0
	}
	size, err := lzma.DecodeDictCap(b[2])
	if err != nil {
		return 0
	}
	return size
}
