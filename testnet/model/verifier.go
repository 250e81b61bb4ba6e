// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"chive/directory/record"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// verifier is shared by all machines: each thing is verified once. It counts what each
// machine would have had to do by itself.
type verifier struct {
	good     [2]map[[32]byte]bool
	outputs  [2]map[[32]byte][vrf.OutputSize]byte
	asked    [2]uint64 // signatures, proofs, by all machines
	verified [2]uint64 // done
}

func newVerifier() *verifier {
	v := &verifier{}
	v.forget()
	v.forget()
	return v
}

// forget drops the older half of what is remembered. What is asked again is done again.
func (v *verifier) forget() {
	v.good = [2]map[[32]byte]bool{{}, v.good[0]}
	v.outputs = [2]map[[32]byte][vrf.OutputSize]byte{{}, v.outputs[0]}
}

var _ vote.Verifier = (*verifier)(nil)

// Signatures reports whether all hold.
func (v *verifier) Signatures(batch []vote.Check) bool {
	for i := range batch {
		c := &batch[i]
		v.asked[0]++
		name := record.Hash("check", c.Key[:], c.Signature[:], c.Message)
		good, known := v.good[0][name]
		if !known {
			if good, known = v.good[1][name]; !known {
				v.verified[0]++
				good = vote.Plain{}.Signatures(batch[i : i+1])
			}
			v.good[0][name] = good
		}
		if !good {
			return false
		}
	}
	return true
}

// Proof verifies a VRF proof. Errors: vrf's.
func (v *verifier) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	v.asked[1]++
	name := record.Hash("proof", key[:], proof[:], alpha)
	for _, m := range v.outputs {
		if out, known := m[name]; known {
			return out, nil
		}
	}
	v.verified[1]++
	out, err := vote.Plain{}.Proof(key, alpha, proof)
	if err == nil {
		v.outputs[0][name] = out
	}
	return out, err
}
