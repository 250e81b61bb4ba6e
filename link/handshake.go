// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"crypto/mlkem"
	"crypto/rand"
	"crypto/sha3"
	"encoding/binary"
	"io"
	"time"

	"github.com/flynn/noise"
)

const (
	version       = 1
	prologueLabel = "chive-link"
	pskLabel      = "chive link psk v1"
)

// noiseState keeps flynn/noise from mixing an empty psk: it does so silently
// when message 3 is read before one was set.
type noiseState struct {
	hs  *noise.HandshakeState
	psk bool
}

func (s *noiseState) setPSK(shared []byte) error {
	h := sha3.NewSHAKE256()
	h.Write([]byte(pskLabel))
	h.Write(shared)
	var psk [32]byte
	defer clear(psk[:])
	h.Read(psk[:])
	if err := s.hs.SetPresharedKey(psk[:]); err != nil {
		return ErrHandshake
	}
	s.psk = true
	return nil
}

// mayMix reports whether the next message may be processed: the third mixes
// the psk.
func (s *noiseState) mayMix() bool { return s.hs.MessageIndex() < 2 || s.psk }

func (s *noiseState) write(payload []byte) (msg []byte, c1, c2 *noise.CipherState, err error) {
	if !s.mayMix() {
		return nil, nil, nil, ErrHandshake
	}
	msg, c1, c2, err = s.hs.WriteMessage(nil, payload)
	if err != nil {
		err = ErrHandshake
	}
	return msg, c1, c2, err
}

func (s *noiseState) read(msg []byte) (payload []byte, c1, c2 *noise.CipherState, err error) {
	if !s.mayMix() {
		return nil, nil, nil, ErrHandshake
	}
	payload, c1, c2, err = s.hs.ReadMessage(nil, msg)
	if err != nil {
		err = ErrHandshake
	}
	return payload, c1, c2, err
}

// handshake is the state both sides share. The functions below do no I/O: bytes
// in, bytes out, in the order of the messages.
type handshake struct {
	cfg   *Config
	now   time.Time
	suite Suite
	state noiseState
	dk    *mlkem.DecapsulationKey768 // initiator's

	peer *Certificate // nil: a client
	send *recordCipher
	recv *recordCipher
	hash [32]byte
}

func newHandshake(cfg *Config, suite Suite, initiator bool, now time.Time) (*handshake, error) {
	var cs noise.CipherSuite
	switch suite {
	case AESGCM:
		cs = noise.NewCipherSuite(noise.DH25519, noise.CipherAESGCM, noise.HashSHA256)
	case ChaChaPoly:
		cs = noise.NewCipherSuite(noise.DH25519, noise.CipherChaChaPoly, noise.HashSHA256)
	default:
		return nil, ErrHandshake
	}
	var static noise.DHKey
	if cfg.Identity != nil {
		static = noise.DHKey{Private: cfg.Identity.key.Bytes(), Public: cfg.Identity.key.PublicKey().Bytes()}
	} else {
		key, err := newStatic(cfg.Rand)
		if err != nil {
			return nil, err
		}
		static = noise.DHKey{Private: key.Bytes(), Public: key.PublicKey().Bytes()}
	}
	prologue := make([]byte, 0, len(prologueLabel)+1+32)
	prologue = append(prologue, prologueLabel...)
	prologue = append(prologue, version)
	prologue = append(prologue, cfg.NetworkID[:]...)
	hs, err := noise.NewHandshakeState(noise.Config{
		CipherSuite:           cs,
		Random:                cfg.Rand,
		Pattern:               noise.HandshakeXX,
		Initiator:             initiator,
		Prologue:              prologue,
		PresharedKeyPlacement: 3,
		StaticKeypair:         static,
	})
	if err != nil {
		return nil, ErrHandshake
	}
	return &handshake{cfg: cfg, now: now, suite: suite, state: noiseState{hs: hs}}, nil
}

// start makes the initiator's first flight: hello and message 1.
func (h *handshake) start() ([]byte, error) {
	random := h.cfg.Rand
	if random == nil {
		random = rand.Reader
	}
	var seed [mlkem.SeedSize]byte
	defer clear(seed[:])
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return nil, ErrConfig
	}
	var err error
	if h.dk, err = mlkem.NewDecapsulationKey768(seed[:]); err != nil {
		return nil, ErrHandshake
	}
	m1, _, _, err := h.state.write(h.dk.EncapsulationKey().Bytes())
	if err != nil {
		return nil, err
	}
	return append([]byte{byte(h.suite), version}, m1...), nil
}

// answer takes message 1 and makes message 2.
func (h *handshake) answer(m1 []byte) ([]byte, error) {
	payload, _, _, err := h.state.read(m1)
	if err != nil {
		return nil, err
	}
	ek, err := mlkem.NewEncapsulationKey768(payload)
	if err != nil {
		return nil, ErrHandshake
	}
	shared, ct := ek.Encapsulate()
	defer clear(shared)
	if err := h.state.setPSK(shared); err != nil {
		return nil, err
	}
	m2, _, _, err := h.state.write(append(ct, h.ownCertificate()...))
	return m2, err
}

// finish takes message 2, checks the relay, and makes message 3.
func (h *handshake) finish(m2 []byte) ([]byte, error) {
	payload, _, _, err := h.state.read(m2)
	if err != nil || len(payload) != p2 {
		return nil, ErrHandshake
	}
	shared, err := h.dk.Decapsulate(payload[:mlkem.CiphertextSize768])
	h.dk = nil
	if err != nil {
		return nil, ErrHandshake
	}
	defer clear(shared)
	if err := h.state.setPSK(shared); err != nil {
		return nil, err
	}
	if err := h.checkPeer(payload[mlkem.CiphertextSize768:], true); err != nil {
		return nil, err
	}
	if h.cfg.Verify != nil {
		if err := h.cfg.Verify(h.peer.Identity); err != nil {
			return nil, err
		}
	}
	m3, c1, c2, err := h.state.write(h.ownCertificate())
	if err != nil {
		return nil, err
	}
	return m3, h.split(c1, c2)
}

// accept takes message 3.
func (h *handshake) accept(m3 []byte) error {
	payload, c1, c2, err := h.state.read(m3)
	if err != nil {
		return err
	}
	if err := h.checkPeer(payload, false); err != nil {
		return err
	}
	return h.split(c2, c1)
}

// ownCertificate is the padded certificate field: length, certificate, zeros.
// A client's has length 0, so that client and relay look alike.
func (h *handshake) ownCertificate() []byte {
	var cert []byte
	if h.cfg.Identity != nil {
		cert = h.cfg.Identity.certificate
	}
	field := make([]byte, p3)
	binary.BigEndian.PutUint16(field, uint16(len(cert)))
	copy(field[2:], cert)
	return field
}

// parseField is the inverse of the certificate field's encoding.
func parseField(field []byte) ([]byte, error) {
	if len(field) != p3 {
		return nil, ErrHandshake
	}
	n := int(binary.BigEndian.Uint16(field))
	if n > MaxCertificateSize {
		return nil, ErrHandshake
	}
	for _, b := range field[2+n:] {
		if b != 0 {
			return nil, ErrHandshake
		}
	}
	return field[2 : 2+n], nil
}

// checkPeer checks the certificate the peer sent; without one it is a client.
func (h *handshake) checkPeer(field []byte, mustCertify bool) error {
	raw, err := parseField(field)
	if err != nil {
		return err
	}
	if len(raw) == 0 {
		if mustCertify {
			return ErrHandshake
		}
		return nil
	}
	cert, err := ParseCertificate(raw, h.cfg.NetworkID)
	if err != nil {
		return err
	}
	if !bytes.Equal(cert.LinkKey[:], h.state.hs.PeerStatic()) {
		return ErrHandshake
	}
	if h.cfg.Certified != nil {
		h.cfg.Certified(bytes.Clone(cert.Identity), cert.NotAfter)
	}
	if !cert.ValidAt(h.now, h.cfg.ClockSkew) {
		return ErrCertificateTime
	}
	if h.cfg.Identity != nil && bytes.Equal(cert.Identity, h.cfg.Identity.identity) {
		return ErrSelf
	}
	h.peer = cert
	return nil
}

func (h *handshake) split(send, recv *noise.CipherState) error {
	var err error
	key := send.UnsafeKey()
	if h.send, err = newRecordCipher(h.suite, &key); err != nil {
		return err
	}
	key = recv.UnsafeKey()
	if h.recv, err = newRecordCipher(h.suite, &key); err != nil {
		return err
	}
	clear(key[:])
	h.hash = [32]byte(h.state.hs.ChannelBinding())
	return nil
}
