// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"chive/directory/record"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// verifier is shared by all clients: each signature is verified once.
type verifier struct {
	known    map[[32]byte]bool
	asked    uint64
	verified uint64
}

func newVerifier() *verifier { return &verifier{known: map[[32]byte]bool{}} }

var _ vote.Verifier = (*verifier)(nil)

// Signatures reports whether all hold.
func (v *verifier) Signatures(batch []vote.Check) bool {
	for i := range batch {
		c := &batch[i]
		v.asked++
		name := record.Hash("check", c.Key[:], c.Signature[:], c.Message)
		good, known := v.known[name]
		if !known {
			v.verified++
			good = vote.Plain{}.Signatures(batch[i : i+1])
			v.known[name] = good
		}
		if !good {
			return false
		}
	}
	return true
}

// Proof verifies a VRF proof. Errors: vrf's.
func (*verifier) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	return vrf.Verify(key, alpha, proof)
}
