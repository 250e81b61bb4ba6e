// SPDX-License-Identifier: BSD-3-Clause

package store

import (
	"encoding/binary"
	"io"
	"os"

	bolt "go.etcd.io/bbolt"
)

// CountSuffix marks the file beside a table that knows how far the table has come: the
// number of its latest transaction, 8 bytes, and a checksum. The table holds the same
// number. It is written after each transaction and never before, so that no kill or
// power cut makes it the greater one: then the table is an old copy that was put back.
// It keeps nobody from putting both back.
const CountSuffix = ".count"

const countSize = 8 + sumSize

var countKey = []byte("count")

// counter is the file. Nothing needs it but the notice: a file that cannot be read or
// written is passed over.
type counter struct {
	file *os.File // nil: there is none
	from uint64   // what it said when it was opened
}

func openCounter(path string) counter {
	file, err := os.OpenFile(path+CountSuffix, os.O_RDWR|os.O_CREATE, FileMode)
	if err != nil {
		return counter{}
	}
	c := counter{file: file}
	held := make([]byte, countSize+1)
	if n, err := file.ReadAt(held, 0); n == countSize && err == io.EOF {
		if value, err := opened(ownBucket, countKey, held[:n]); err == nil {
			c.from = binary.BigEndian.Uint64(value)
		}
	}
	return c
}

func (c counter) set(count uint64) {
	if c.file != nil {
		_, _ = c.file.WriteAt(sealed(ownBucket, countKey, binary.BigEndian.AppendUint64(nil, count)), 0)
	}
}

func (c counter) close() {
	if c.file != nil {
		_ = c.file.Close()
	}
}

// countOf returns the number of a table's latest transaction, and whether it holds
// anything.
func countOf(tx *bolt.Tx) (count uint64, filled bool) {
	_ = tx.ForEach(func(name []byte, _ *bolt.Bucket) error {
		filled = filled || string(name) != string(ownBucket)
		return nil
	})
	if b := tx.Bucket(ownBucket); b != nil {
		if value, err := opened(ownBucket, countKey, b.Get(countKey)); err == nil && len(value) == 8 {
			count = binary.BigEndian.Uint64(value)
		}
	}
	return count, filled
}
