// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ed25519"

	"chive/directory/record"
	"chive/directory/vrf"
)

// Check is one signature to be verified.
type Check struct {
	Key       [32]byte
	Message   []byte
	Signature [record.SignatureSize]byte
}

// A Verifier does the public-key work. It gives the same answer to the same question
// always, and on every machine: it accepts exactly what crypto/ed25519 and package
// vrf accept, of keys that record.CheckSigningKey accepts. An implementation may
// remember answers, or spread a batch over processors. What it is given it neither
// changes nor keeps.
type Verifier interface {
	// Signatures reports whether all hold.
	Signatures(batch []Check) bool
	// Proof verifies a VRF proof and returns its output. Errors: vrf's.
	Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error)
}

// Plain is the Verifier without memory.
type Plain struct{}

// Signatures reports whether all hold.
func (Plain) Signatures(batch []Check) bool {
	for i := range batch {
		c := &batch[i]
		if record.CheckSigningKey(c.Key[:]) != nil || !ed25519.Verify(c.Key[:], c.Message, c.Signature[:]) {
			return false
		}
	}
	return true
}

// Proof verifies a VRF proof. Errors: vrf's.
func (Plain) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	return vrf.Verify(key, alpha, proof)
}
