// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"crypto/mlkem"
	"crypto/subtle"
	"io"
)

// Respond answers a CREATE, exactly CreateSize bytes, which stay the caller's.
// rid is this relay's; keys are its onion keys, the successor and the old one
// included while they are honoured. Once the CREATE is proved good, reply is
// called with the client's message and gives this relay's; it must not block.
// The CREATED, CreatedSize bytes, and the keys are the caller's. Respond reads
// 32 bytes from rand, which must be unpredictable.
//
// It fails with ErrUnknownKey if the CREATE is for another onion key, with
// ErrHandshake for any other fault of the message, and with rand's error if
// rand fails. Spec: protocol §4.
func Respond(rand io.Reader, rid [16]byte, keys []*OnionKey, create []byte, reply func(cm *[MessageSize]byte) (sm [MessageSize]byte)) (created []byte, k *Keys, err error) {
	return respond(rand, rid, keys, create, reply, (*mlkem.EncapsulationKey768).Encapsulate)
}

// encapsulation makes a shared key and its ciphertext. The seam is there for
// vectors: the standard library takes no randomness from outside.
type encapsulation func(*mlkem.EncapsulationKey768) (sharedKey, ciphertext []byte)

func respond(rand io.Reader, rid [ridSize]byte, keys []*OnionKey, message []byte, reply func(*[MessageSize]byte) [MessageSize]byte, encapsulate encapsulation) ([]byte, *Keys, error) {
	c, ok := splitCreate(message)
	if !ok || [idSize]byte(c.id) != identifier(rid) {
		return nil, nil, ErrHandshake
	}
	onion := find(keys, [pointSize]byte(c.onion))
	if onion == nil {
		return nil, nil, ErrUnknownKey
	}
	xb, valid := exchange(onion.private, c.x)
	defer clear(xb)
	k1 := clientKeys(xb, c)
	mac := k1.sum(c)
	if valid&equal(mac[:], c.mac) != 1 {
		return nil, nil, ErrHandshake
	}
	ek, err := mlkem.NewEncapsulationKey768(c.ek)
	if err != nil {
		return nil, nil, ErrHandshake
	}

	var seed [32]byte
	defer clear(seed[:])
	if err := readRandom(rand, seed[:]); err != nil {
		return nil, nil, err
	}
	y := newPrivateKey(&seed)
	xy, valid := exchange(y, c.x)
	defer clear(xy)
	if valid != 1 {
		return nil, nil, ErrHandshake
	}
	ss, ct := encapsulate(ek)
	defer clear(ss)

	answer := newMessage(CreatedSize)
	d, _ := splitCreated(answer)
	copy(d.y, y.PublicKey().Bytes())
	copy(d.ct, ct)
	k, stream, verify := circuitKeys(sharedSecrets{xy, xb, ss}, c, d)
	var cm [MessageSize]byte
	subtle.XORBytes(cm[:], c.cm, k1.stream[:])
	sm := reply(&cm)
	subtle.XORBytes(d.sm, sm[:], stream[:])
	auth := authSum(&verify, c, d)
	copy(d.auth, auth[:])
	return answer, k, nil
}

// find gives the key whose public half is b. Both are public, so the search
// need not be constant time.
func find(keys []*OnionKey, b [pointSize]byte) *OnionKey {
	for _, k := range keys {
		if k.public == b {
			return k
		}
	}
	return nil
}
