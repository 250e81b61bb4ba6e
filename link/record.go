// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// Suite is the byte that chooses the symmetric cipher of a link.
type Suite byte

// Suites of version 1. A responder accepts both.
const (
	AESGCM     Suite = 1 // Noise_XXpsk3_25519_AESGCM_SHA256
	ChaChaPoly Suite = 2 // Noise_XXpsk3_25519_ChaChaPoly_SHA256
)

// flagPadding marks a record that carries nothing.
const flagPadding = 1

// recordCipher is one direction's key with its counter. It does no I/O and is
// not safe for concurrent use. Its errors are sticky.
type recordCipher struct {
	suite Suite
	aead  cipher.AEAD
	n     uint64
	nonce [12]byte
	err   error
}

func newRecordCipher(suite Suite, key *[32]byte) (*recordCipher, error) {
	c := &recordCipher{suite: suite}
	if err := c.setKey(key); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *recordCipher) setKey(key *[32]byte) error {
	switch c.suite {
	case AESGCM:
		block, err := aes.NewCipher(key[:])
		if err != nil {
			return err
		}
		c.aead, err = cipher.NewGCM(block)
		return err
	case ChaChaPoly:
		var err error
		c.aead, err = chacha20poly1305.New(key[:])
		return err
	}
	return ErrConfig
}

// putNonce writes n as the suite's Noise nonce.
func (c *recordCipher) putNonce(n uint64) {
	if c.suite == AESGCM {
		binary.BigEndian.PutUint64(c.nonce[4:], n)
	} else {
		binary.LittleEndian.PutUint64(c.nonce[4:], n)
	}
}

// advance prepares the nonce of the next record and rekeys where due.
func (c *recordCipher) advance() {
	if c.n > 0 && c.n%rekeyInterval == 0 {
		c.rekey()
	}
	if c.n >= math.MaxUint64-1 {
		c.err = ErrRecord
	}
	c.putNonce(c.n)
	c.n++
}

// rekey is Rekey() of the Noise specification, 4.2 and 11.3: the counter goes on.
func (c *recordCipher) rekey() {
	var zeros [32]byte
	c.putNonce(math.MaxUint64)
	out := c.aead.Seal(nil, c.nonce[:], zeros[:], nil)
	key := [32]byte(out[:32])
	clear(out)
	if err := c.setKey(&key); err != nil {
		c.err = err
	}
	clear(key[:])
}

// seal turns r, RecordSize bytes of which the first n are data, into a record
// in place. What follows the data is zeroed.
func (c *recordCipher) seal(r []byte, n int, flags uint16) error {
	if c.advance(); c.err != nil {
		return c.err
	}
	clear(r[n:RecordData])
	binary.BigEndian.PutUint16(r[RecordData:], uint16(n))
	binary.BigEndian.PutUint16(r[RecordData+2:], flags)
	c.aead.Seal(r[:0], c.nonce[:], r[:recordPlain], nil)
	return nil
}

// open decrypts r, RecordSize bytes, in place and returns the data, a view into
// r; it is empty for padding. Every fault is ErrRecord.
func (c *recordCipher) open(r []byte) ([]byte, error) {
	if c.err != nil {
		return nil, c.err
	}
	if c.advance(); c.err != nil {
		return nil, c.err
	}
	if _, err := c.aead.Open(r[:0], c.nonce[:], r[:RecordSize], nil); err != nil {
		c.err = ErrRecord
		return nil, c.err
	}
	n := int(binary.BigEndian.Uint16(r[RecordData:]))
	flags := binary.BigEndian.Uint16(r[RecordData+2:])
	switch {
	case flags == flagPadding && n == 0:
		return nil, nil
	case flags == 0 && n > 0 && n <= RecordData:
		return r[:n], nil
	}
	c.err = ErrRecord
	return nil, c.err
}
