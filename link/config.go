// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"crypto/ed25519"
	"io"
	"time"
)

// Config says how links are made. The zero value of each field but NetworkID is
// usable; it is copied and may be reused.
type Config struct {
	// NetworkID is the network both sides must be in.
	NetworkID [32]byte
	// Identity is the relay's own; nil makes a client with a throw-away key.
	// Only relays can be responders.
	Identity *Identity
	// Rand is the source of keys; nil means crypto/rand. ML-KEM encapsulation
	// always uses the system's.
	Rand io.Reader
	// Verify is asked about the relay's identity before the dialler shows its
	// own; its error ends the handshake and is returned. Nil accepts any
	// certified relay of the network.
	Verify func(identity ed25519.PublicKey) error
	// Known, if not nil, says which identities are relays of the network: only their
	// links have a relay's limits, all others a client's, whatever they prove. It is
	// asked when the link comes up, and again whenever a client's limit is met: whom
	// it names later has a relay's from then on. It must not block.
	Known func(identity ed25519.PublicKey) bool
	// Account, if not nil, is told what the link holds.
	Account Account
	// Suite is what the dialler chooses; 0 means AESGCM. ChaChaPoly is for
	// machines without AES instructions.
	Suite Suite
	// HalfLife is that of the byte counts by which the scheduler orders
	// streams; 0 means DefaultHalfLife.
	HalfLife time.Duration
	// KeepAlive is how long a link may send nothing before it sends a padding
	// record, and how often it looks; 0 means DefaultKeepAlive.
	KeepAlive time.Duration
	// Silence is how long nothing may arrive before the link closes; 0 means
	// DefaultSilence. It should be more than twice the peer's KeepAlive.
	Silence time.Duration
	// ClockSkew is the error allowed to a certificate's times; 0 means
	// DefaultClockSkew. A client that does not trust its clock yet sets it
	// high, to ask relays for the time.
	ClockSkew time.Duration
	// Certified, if not nil, is told the identity and the end of every certificate
	// that a relay shows and that is its own, before Verify, and whether or not it is
	// valid at this clock: what the relay thinks the time is lies within
	// MaxCertificateLife before that end. It must not block.
	Certified func(identity ed25519.PublicKey, notAfter time.Time)
}

func (c Config) withDefaults() Config {
	if c.Suite == 0 {
		c.Suite = AESGCM
	}
	if c.HalfLife <= 0 {
		c.HalfLife = DefaultHalfLife
	}
	if c.KeepAlive <= 0 {
		c.KeepAlive = DefaultKeepAlive
	}
	if c.Silence <= 0 {
		c.Silence = DefaultSilence
	}
	if c.ClockSkew <= 0 {
		c.ClockSkew = DefaultClockSkew
	}
	return c
}
