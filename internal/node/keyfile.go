// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/subtle"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// seedSize is the size of every secret key of a relay in bytes.
const seedSize = 32

// maxKeyFileSize bounds a key file; one made here has about 250 bytes.
const maxKeyFileSize = 4096

// errKeyFile says that a file's bytes are not the key they should be.
var errKeyFile = errors.New("node: not a key file, or damaged")

// use is what a key is for: one key, one purpose (KEY-1).
type use string

const (
	useIdentity  use = "identity"
	useOnion     use = "onion"
	useVRF       use = "vrf"
	useCommittee use = "committee"
	useFamily    use = "family"
)

// secretKey is one key as its file holds it.
//
//	-----BEGIN CHIVE ONION KEY-----
//	Created: 2026-11-24T19:00:00Z
//	Public: 64 hexadecimal digits
//
//	32 bytes in base64
//	-----END CHIVE ONION KEY-----
//
// A committee key also has the header Term, and an onion key that clients use, or have
// used, the header Active: since when. The public key is there so that a damaged file
// is noticed instead of becoming another key.
type secretKey struct {
	use     use
	created time.Time // whole seconds, UTC
	active  time.Time // of an onion key; zero: it is a successor
	term    uint64    // of a committee key
	seed    [seedSize]byte
}

// Format prints nothing of the key, whatever the verb (KEY-5).
func (k *secretKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("key(redacted)")) }

// signing returns the Ed25519 key of a key that signs.
func (k *secretKey) signing() ed25519.PrivateKey { return ed25519.NewKeyFromSeed(k.seed[:]) }

// public returns the public half, 32 bytes. A VRF key's is Ed25519's (RFC 9381).
func (k *secretKey) public() ([32]byte, error) {
	if k.use == useOnion {
		p, err := ecdh.X25519().NewPrivateKey(k.seed[:])
		if err != nil {
			return [32]byte{}, errKeyFile
		}
		return [32]byte(p.PublicKey().Bytes()), nil
	}
	p, ok := k.signing().Public().(ed25519.PublicKey)
	if !ok || len(p) != 32 {
		return [32]byte{}, errKeyFile
	}
	return [32]byte(p), nil
}

// block is the name in a key file's first line.
func (u use) block() string {
	return "CHIVE " + string(bytes.ToUpper([]byte(u))) + " KEY"
}

// encode returns the file's bytes, which the caller wipes.
func (k *secretKey) encode() ([]byte, error) {
	public, err := k.public()
	if err != nil {
		return nil, err
	}
	b := &pem.Block{Type: k.use.block(), Bytes: k.seed[:], Headers: map[string]string{
		"Created": k.created.UTC().Format(time.RFC3339),
		"Public":  hex.EncodeToString(public[:]),
	}}
	if k.use == useCommittee {
		b.Headers["Term"] = strconv.FormatUint(k.term, 10)
	}
	if !k.active.IsZero() {
		b.Headers["Active"] = k.active.UTC().Format(time.RFC3339)
	}
	return pem.EncodeToMemory(b), nil
}

// decodeKey reads a key file that should hold a key of this use. data is the
// caller's to wipe. Error: errKeyFile.
func decodeKey(data []byte, want use) (*secretKey, error) {
	if len(data) > maxKeyFileSize {
		return nil, errKeyFile
	}
	b, rest := pem.Decode(data)
	if b == nil || b.Type != want.block() || len(b.Bytes) != seedSize || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errKeyFile
	}
	defer clear(b.Bytes)
	k := &secretKey{use: want, seed: [seedSize]byte(b.Bytes)}
	var err error
	if k.created, err = time.Parse(time.RFC3339, b.Headers["Created"]); err != nil {
		return nil, errKeyFile
	}
	k.created = k.created.UTC()
	if want == useCommittee {
		if k.term, err = strconv.ParseUint(b.Headers["Term"], 10, 63); err != nil {
			return nil, errKeyFile
		}
	}
	if at, there := b.Headers["Active"]; there {
		if k.active, err = time.Parse(time.RFC3339, at); err != nil || want != useOnion {
			return nil, errKeyFile
		}
		k.active = k.active.UTC()
	}
	public, err := k.public()
	if err != nil {
		return nil, err
	}
	said, err := hex.DecodeString(b.Headers["Public"])
	if err != nil || subtle.ConstantTimeCompare(said, public[:]) != 1 {
		return nil, errKeyFile
	}
	return k, nil
}
