// SPDX-License-Identifier: BSD-3-Clause

package cgo

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
)

// standardKeys are expanded keys in the standard library's hands. They cannot
// be replaced in place and not be cleared, only dropped: every expand leaves
// the collector the four schedules before, and every key stream one more.
type standardKeys struct {
	newHash func(key []byte) universalHash

	kb    cipher.Block  // block cipher of the tag
	u     universalHash // of the tweak, under KU
	k     cipher.Block  // key stream
	b     universalHash // of the key stream's start, under B
	first block         // counter; scratch: a local one would move to the heap
}

func (s *standardKeys) expand(keys []byte) {
	n := len(keys) / 4
	s.kb = newAES(keys[:n])
	s.u = s.newHash(keys[n : 2*n])
	s.k = newAES(keys[2*n : 3*n])
	s.b = s.newHash(keys[3*n:])
}

// tweak returns UH(KU, chain | command | payload). These stand in the cell
// meanwhile: the 17 bytes before the payload are just as long as T' and the
// command, so that the payload need not be copied.
func (s *standardKeys) tweak(chain *block, c []byte) block {
	header := [headerSize]byte(c)
	copy(c, chain[:])
	c[headerSize-1] = header[0]
	h := s.u.sum(c)
	copy(c, header[:])
	return h
}

func (s *standardKeys) encryptTag(chain *block, c []byte) {
	h, tag := s.tweak(chain, c), c[1:headerSize]
	subtle.XORBytes(tag, tag, h[:])
	s.kb.Encrypt(tag, tag)
	subtle.XORBytes(tag, tag, h[:])
}

func (s *standardKeys) decryptTag(chain *block, c []byte) {
	h, tag := s.tweak(chain, c), c[1:headerSize]
	subtle.XORBytes(tag, tag, h[:])
	s.kb.Decrypt(tag, tag)
	subtle.XORBytes(tag, tag, h[:])
}

func (s *standardKeys) start(tag []byte) counter {
	h := s.b.sum(tag)
	return counter{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}
}

func (s *standardKeys) xorKeyStream(dst []byte, first counter) {
	binary.BigEndian.PutUint64(s.first[:], first.high)
	binary.BigEndian.PutUint64(s.first[8:], first.low)
	cipher.NewCTR(s.k, s.first[:]).XORKeyStream(dst, dst)
}

func (s *standardKeys) wipe() { *s = standardKeys{newHash: s.newHash} }
