// SPDX-License-Identifier: BSD-3-Clause

package handshake

import (
	"crypto/ecdh"
	"crypto/mlkem"
	"crypto/subtle"
	"fmt"
	"io"
)

// Client is the client's side between CREATE and CREATED. It serves for one
// answer. Not safe for concurrent use. Spec: protocol §4.
type Client struct {
	message []byte // the CREATE, or nil once spent
	bx      []byte // X25519 of B and X
	x       *ecdh.PrivateKey
	dk      *mlkem.DecapsulationKey768
}

// Start begins a handshake with the relay rid, whose onion key is onion, and
// returns the CREATE to send, CreateSize bytes, which are the caller's. cm is
// the client's message; it stays the caller's, and nothing secret belongs in
// it. Start reads 96 bytes from rand, which must be unpredictable.
//
// It fails with ErrHandshake if onion is a point of low order, and with rand's
// error if rand fails. Spec: protocol §4.
func Start(rand io.Reader, rid [16]byte, onion [32]byte, cm *[MessageSize]byte) (*Client, []byte, error) {
	var seed struct {
		x     [32]byte
		mlkem [mlkem.SeedSize]byte
	}
	defer clear(seed.x[:])
	defer clear(seed.mlkem[:])
	if err := readRandom(rand, seed.x[:]); err != nil {
		return nil, nil, err
	}
	if err := readRandom(rand, seed.mlkem[:]); err != nil {
		return nil, nil, err
	}
	dk, err := mlkem.NewDecapsulationKey768(seed.mlkem[:])
	if err != nil {
		panic("handshake: ML-KEM refuses a seed of its size")
	}
	x := newPrivateKey(&seed.x)
	bx, ok := exchange(x, onion[:])
	if ok != 1 {
		return nil, nil, ErrHandshake
	}

	message := newMessage(CreateSize)
	c, _ := splitCreate(message)
	id := identifier(rid)
	copy(c.id, id[:])
	copy(c.onion, onion[:])
	copy(c.x, x.PublicKey().Bytes())
	copy(c.ek, dk.EncapsulationKey().Bytes())
	k := clientKeys(bx, c)
	subtle.XORBytes(c.cm, cm[:], k.stream[:])
	mac := k.sum(c)
	copy(c.mac, mac[:])
	k = messageKeys{}

	return &Client{message: message, bx: bx, x: x, dk: dk}, append([]byte(nil), message...), nil
}

// Finish checks the relay's answer, exactly CreatedSize bytes, which stay the
// caller's, and returns the circuit's keys and the relay's message. It fails
// with ErrHandshake, whatever is wrong. Right or wrong, the Client is spent:
// it forgets its secrets, and another call fails. Spec: protocol §4.
func (c *Client) Finish(answer []byte) (*Keys, [MessageSize]byte, error) {
	defer c.Wipe()
	var none, sm [MessageSize]byte
	d, ok := splitCreated(answer)
	if !ok || c.message == nil {
		return nil, none, ErrHandshake
	}
	q, _ := splitCreate(c.message)
	xy, valid := exchange(c.x, d.y)
	ss, err := c.dk.Decapsulate(d.ct)
	if err != nil {
		panic("handshake: ML-KEM refuses a ciphertext of its size")
	}
	k, stream, verify := circuitKeys(sharedSecrets{xy, c.bx, ss}, q, d)
	clear(xy)
	clear(ss)
	auth := authSum(&verify, q, d)
	if valid&equal(auth[:], d.auth) != 1 {
		k.Wipe()
		return nil, none, ErrHandshake
	}
	subtle.XORBytes(sm[:], d.sm, stream[:])
	return k, sm, nil
}

// Wipe forgets the secrets, as far as Go allows. For a handshake that gets no
// answer.
func (c *Client) Wipe() {
	clear(c.bx)
	*c = Client{}
}

// Format prints no key under any verb.
func (c Client) Format(s fmt.State, _ rune) { redact(s, "Client") }

// readRandom fills b, or says that our own source failed.
func readRandom(rand io.Reader, b []byte) error {
	if _, err := io.ReadFull(rand, b); err != nil {
		return fmt.Errorf("handshake: read randomness: %w", err)
	}
	return nil
}
