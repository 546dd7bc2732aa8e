// Package codec decodes stored chunks, for clients that read them as they are stored
// (ArtifactService.ReadChunks) instead of as raw bytes.
//
// A chunk is stored raw, as one zstd frame, or as w zstd frames, one for each byte plane: plane i holds byte
// i of every w-byte element.
package codec

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	regsvcv1 "regsvc.dev/go/regsvc/v1"
)

// MaxChunk is the most raw bytes in a chunk.
const MaxChunk = 2 << 20

// ErrFrame is the error of bytes that do not decode to the chunk they claim to be.
var ErrFrame = errors.New("invalid frame")

// planes maps each codec of zstd frames to their number.
var planes = map[regsvcv1.Codec]int{
	regsvcv1.Codec_CODEC_ZSTD:         1,
	regsvcv1.Codec_CODEC_PLANES2_ZSTD: 2,
	regsvcv1.Codec_CODEC_PLANES4_ZSTD: 4,
	regsvcv1.Codec_CODEC_PLANES8_ZSTD: 8,
}

// Decode gives the size raw bytes that were encoded, or an error that wraps ErrFrame. Whatever the payload
// claims, it allocates little more than twice size. It does not check the chunk's digest.
func Decode(codec regsvcv1.Codec, payload []byte, size int) ([]byte, error) {
	if size < 0 || size > MaxChunk {
		return nil, fmt.Errorf("%w: chunk of %d bytes, more than %d", ErrFrame, size, MaxChunk)
	}
	if codec == regsvcv1.Codec_CODEC_RAW {
		if len(payload) != size {
			return nil, fmt.Errorf("%w: raw payload of %d bytes for a chunk of %d", ErrFrame, len(payload), size)
		}
		return payload, nil
	}
	width, known := planes[codec]
	if !known {
		return nil, fmt.Errorf("%w: unknown codec %d", ErrFrame, codec)
	}
	if size%width != 0 {
		return nil, fmt.Errorf("%w: chunk of %d bytes is no multiple of %d", ErrFrame, size, width)
	}
	raw := make([]byte, size)
	plane := make([]byte, 0, size/width)
	for i := range width {
		end, err := frameEnd(payload)
		if err != nil {
			return nil, err
		}
		decoded, err := decoder().DecodeAll(payload[:end], plane)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrFrame, err)
		}
		if len(decoded) != size/width {
			return nil, fmt.Errorf("%w: zstd frame holds %d bytes where %d belong", ErrFrame, len(decoded), size/width)
		}
		for j, b := range decoded {
			raw[j*width+i] = b
		}
		payload = payload[end:]
	}
	if len(payload) > 0 {
		return nil, fmt.Errorf("%w: %d bytes after the last zstd frame", ErrFrame, len(payload))
	}
	return raw, nil
}

// decoder is shared: DecodeAll may be called from any number of goroutines.
var decoder = sync.OnceValue(func() *zstd.Decoder {
	// The cap of the output is the limit, so a frame that claims more is refused before it costs memory.
	d, err := zstd.NewReader(nil, zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderConcurrency(0))
	if err != nil {
		panic(err) // only options can be wrong
	}
	return d
})
