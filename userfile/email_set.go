package userfile

import "hash/maphash"

// EmailSet remembers which addresses stand in which row of one file, in some 17
// bytes an address: 72 bits of a keyed hash and the row. That two different
// addresses of a million look the same has a probability of one in 10^10; what
// is remembered cannot be chosen by whoever wrote the file, since the hash is
// keyed afresh in every process. The zero value is not ready: use [NewEmailSet].
type EmailSet struct {
	seeds  [2]maphash.Seed
	shards [1 << shardBits]shard
}

// shardBits are those bits of the hash that no slot stores.
const shardBits = 8

// shard is an open-addressing table. There are many so that growing one copies
// little, and the peak of memory stays near the sum.
type shard struct {
	slots []slot
	used  int
}

// slot is free when its row is 0: rows count from 1. It has no field of 64 bits,
// for which it would take four bytes more.
type slot struct{ high, low, row uint32 }

// NewEmailSet makes an empty set.
func NewEmailSet() *EmailSet {
	return &EmailSet{seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}}
}

// Add remembers key in row unless it stands in an earlier one. It returns that
// row, or 0 if the key is new. Rows are below 2^32.
func (s *EmailSet) Add(key string, row int64) (first int64) {
	sh, wanted := s.place(key)
	if sh.used*5 >= len(sh.slots)*4 {
		sh.grow()
	}
	at := sh.find(wanted)
	if at.row != 0 {
		return int64(at.row)
	}
	wanted.row = uint32(row)
	*at = wanted
	sh.used++
	return 0
}

// Row returns the row in which key stands, 0 if in none.
func (s *EmailSet) Row(key string) int64 {
	sh, wanted := s.place(key)
	if len(sh.slots) == 0 {
		return 0
	}
	return int64(sh.find(wanted).row)
}

func (s *EmailSet) place(key string) (*shard, slot) {
	h := maphash.String(s.seeds[0], key)
	return &s.shards[maphash.String(s.seeds[1], key)>>(64-shardBits)], slot{high: uint32(h >> 32), low: uint32(h)}
}

// find returns the slot that holds the key, or the free one where it belongs.
func (sh *shard) find(wanted slot) *slot {
	// The place in proportion to the hash: a division would take as long as the rest.
	i := uint64(wanted.high) * uint64(len(sh.slots)) >> 32
	for ; ; i++ {
		if i == uint64(len(sh.slots)) {
			i = 0
		}
		at := &sh.slots[i]
		if at.row == 0 || at.high == wanted.high && at.low == wanted.low {
			return at
		}
	}
}

// grow makes room for a third more.
func (sh *shard) grow() {
	old := sh.slots
	sh.slots = make([]slot, max(16, len(old)+len(old)/3))
	for _, s := range old {
		if s.row != 0 {
			*sh.find(s) = s
		}
	}
}
