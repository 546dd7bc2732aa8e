package codec

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

const (
	blockHeaderSize = 3
	checksumSize    = 4

	// maxBlocks is the most blocks in a frame: 2 MiB in blocks of 256 bytes. More would only cost time to walk.
	maxBlocks = 8192
)

// Kinds of zstd blocks, RFC 8878 section 3.1.1.2.2.
const (
	rleBlock      = 1
	reservedBlock = 3
)

// frameEnd is the length of the zstd frame that data starts with, found by its block headers alone. A
// frame ends by itself, so the planes of a chunk need no table of lengths.
func frameEnd(data []byte) (int, error) {
	var header zstd.Header
	if err := header.Decode(data); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrFrame, err)
	}
	if header.Skippable {
		return 0, fmt.Errorf("%w: a skippable zstd frame holds no bytes", ErrFrame)
	}
	if header.DictionaryID != 0 {
		return 0, fmt.Errorf("%w: zstd frame needs a dictionary", ErrFrame)
	}
	end := header.HeaderSize
	for range maxBlocks {
		if end+blockHeaderSize > len(data) {
			return 0, fmt.Errorf("%w: truncated zstd frame", ErrFrame)
		}
		block := int(data[end]) | int(data[end+1])<<8 | int(data[end+2])<<16
		size := block >> 3
		switch block >> 1 & 3 {
		case rleBlock:
			size = 1
		case reservedBlock:
			return 0, fmt.Errorf("%w: zstd block of the reserved type", ErrFrame)
		}
		end += blockHeaderSize + size
		if last := block&1 == 1; !last {
			continue
		}
		if header.HasCheckSum {
			end += checksumSize
		}
		if end > len(data) {
			return 0, fmt.Errorf("%w: truncated zstd frame", ErrFrame)
		}
		return end, nil
	}
	return 0, fmt.Errorf("%w: zstd frame of more than %d blocks", ErrFrame, maxBlocks)
}
