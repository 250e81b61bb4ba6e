// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/vote"
	"chive/directory/vrf"
)

func seedOf(purpose string, n int) [32]byte { return sha256.Sum256(fmt.Append(nil, purpose, n)) }

func signingKey(purpose string, n int) ed25519.PrivateKey {
	s := seedOf(purpose, n)
	return ed25519.NewKeyFromSeed(s[:])
}

func public(key ed25519.PrivateKey) [32]byte { return [32]byte(key.Public().(ed25519.PublicKey)) }

func committeeKey(term uint64, n int) ed25519.PrivateKey {
	return signingKey(fmt.Sprint("committee ", term, " "), n)
}

func vrfKey(n int) *vrf.SecretKey {
	s := seedOf("vrf", n)
	return vrf.NewSecretKey(&s)
}

func onionKey(t testing.TB, purpose string, n int) [32]byte {
	s := seedOf(purpose, n)
	k, err := ecdh.X25519().NewPrivateKey(s[:])
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(k.PublicKey().Bytes())
}

func addressOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(n), 1, 5}), 9240)
}

func document(t testing.TB, founders int, p genesis.Params) *genesis.Document {
	t.Helper()
	var all []*record.Founder
	for n := range founders {
		identity := public(signingKey("identity", n))
		all = append(all, &record.Founder{
			Identity: identity[:], Onion: onionKey(t, "onion", n), VRF: vrfKey(n).Public(),
			Committee: [2][32]byte{public(committeeKey(0, n)), public(committeeKey(1, n))},
			Addresses: []netip.AddrPort{addressOf(n)}, DeclaredRate: 10000, Roles: record.RoleGuard,
		})
	}
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	d, err := genesis.Plan{Name: "example", Testnet: true, Params: &p, Founders: all, Time: start}.Document()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// remembering is a Verifier that all nodes share and that does each thing once.
type remembering struct {
	signatures map[[32]byte]bool
	proofs     map[[32]byte][vrf.OutputSize]byte
}

func (r *remembering) Signatures(batch []vote.Check) bool {
	for i := range batch {
		c := &batch[i]
		name := record.Hash("check", c.Key[:], c.Signature[:], c.Message)
		good, known := r.signatures[name]
		if !known {
			good = vote.Plain{}.Signatures(batch[i : i+1])
			r.signatures[name] = good
		}
		if !good {
			return false
		}
	}
	return true
}

func (r *remembering) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	name := record.Hash("proof", key[:], proof[:], alpha)
	if out, known := r.proofs[name]; known {
		return out, nil
	}
	out, err := vote.Plain{}.Proof(key, alpha, proof)
	if err == nil {
		r.proofs[name] = out
	}
	return out, err
}
