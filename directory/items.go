// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"chive/directory/record"
)

// Bounds of what is kept of the committee's items. The member takes a bounded number
// of them; these bounds are for what it has taken in all.
const (
	keptEpochs = 2 // of V, P and G: nobody takes older ones

	// MaxItems and MaxItemBytes bound V, P and G together. Beyond them new ones are
	// not kept, and not passed on.
	MaxItems     = 4096
	MaxItemBytes = 16 << 20

	// MaxCertificates is 90 days of public epochs; the oldest goes.
	MaxCertificates = 2160
)

// item is a vote, proposal, signature or certificate.
type item struct {
	class  byte
	digest [32]byte
	epoch  uint64
	header [32]byte // of a certificate
	data   []byte
	// said is the item itself, which the member shares; nil for a certificate, of which
	// many are kept.
	said any
}

// items holds them by class and digest.
type items struct {
	all   map[byte]map[[32]byte]*item
	count int // of V, P, G
	bytes int // of V, P, G
}

func newItems() items {
	s := items{all: map[byte]map[[32]byte]*item{}}
	for _, class := range []byte{record.ClassVote, record.ClassProposal, record.ClassSignature, record.ClassCertificate} {
		s.all[class] = map[[32]byte]*item{}
	}
	return s
}

func (s *items) get(class byte, digest [32]byte) *item { return s.all[class][digest] }

// put keeps an item and reports whether there was room for it.
func (s *items) put(it *item) bool {
	if s.all[it.class][it.digest] != nil {
		return true
	}
	if it.class != record.ClassCertificate {
		if s.count >= MaxItems || s.bytes+len(it.data) > MaxItemBytes {
			return false
		}
		s.count, s.bytes = s.count+1, s.bytes+len(it.data)
	}
	s.all[it.class][it.digest] = it
	return true
}

// expire forgets V, P and G of epochs before one.
func (s *items) expire(first uint64) {
	for _, class := range []byte{record.ClassVote, record.ClassProposal, record.ClassSignature} {
		maps.DeleteFunc(s.all[class], func(_ [32]byte, it *item) bool {
			if it.epoch >= first {
				return false
			}
			s.count, s.bytes = s.count-1, s.bytes-len(it.data)
			return true
		})
	}
}

// shed takes out the oldest certificates beyond their bound and returns them.
func (s *items) shed() []*item {
	certs := s.all[record.ClassCertificate]
	if len(certs) <= MaxCertificates {
		return nil
	}
	all := slices.SortedFunc(maps.Values(certs), func(a, b *item) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), bytes.Compare(a.digest[:], b.digest[:]))
	})
	all = all[:len(all)-MaxCertificates]
	for _, it := range all {
		delete(certs, it.digest)
	}
	return all
}
