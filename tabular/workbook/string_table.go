package workbook

import "encoding/binary"

// stringTable holds the distinct texts of a workbook without an allocation each. Its
// memory is limited.
type stringTable struct {
	blocks [][]byte // of blockBytes each; no text lies in two
	at     []uint32 // where each text begins: block and offset
	used   int
	limit  int
}

const (
	blockBits  = 20
	blockBytes = 1 << blockBits
	// maxText is how much of one text is kept. Excel writes at most 32,767 characters,
	// and a row with a longer one is too long in any case.
	maxText = blockBytes - binary.MaxVarintLen32
)

// add appends a text.
func (t *stringTable) add(text []byte) error {
	text = text[:min(len(text), maxText)]
	var size [binary.MaxVarintLen32]byte
	n := binary.PutUvarint(size[:], uint64(len(text)))
	const index = 4
	if t.used += n + len(text) + index; t.used > t.limit {
		return tooLarge("The workbook has more than %d MiB of different texts.", t.limit>>20)
	}
	last := len(t.blocks) - 1
	if last < 0 || len(t.blocks[last])+n+len(text) > blockBytes {
		size := blockBytes
		if last < 0 {
			size = blockBytes / 16 // most workbooks are small
		}
		t.blocks = append(t.blocks, make([]byte, 0, size))
		last++
	}
	t.at = append(t.at, uint32(last)<<blockBits|uint32(len(t.blocks[last])))
	t.blocks[last] = append(append(t.blocks[last], size[:n]...), text...)
	return nil
}

// get returns the text with a number, from 0. It reports false if there is none.
func (t *stringTable) get(i int) ([]byte, bool) {
	if i < 0 || i >= len(t.at) {
		return nil, false
	}
	at := t.at[i]
	block := t.blocks[at>>blockBits][at&(blockBytes-1):]
	length, n := binary.Uvarint(block)
	return block[n : n+int(length)], true
}
