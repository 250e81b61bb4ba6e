// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"bytes"
	"crypto/ed25519"
	"slices"

	"chive/directory/record"
)

// Bounds of what a successor takes over. Spec: directory §2.
const (
	MaxHeirs         = 16384
	MaxSuccessorSize = 1 << 20 // bytes of a public successor's file
)

// Heir is a relay of the predecessor's last final table that is no founder of the
// successor. Snapshot 0 remembers it like a relay that has left on day 0: it comes back
// with its age. Spec: directory §2, protocol §7 (DIR-16).
type Heir struct {
	Identity ed25519.PublicKey
	Age      int // days of service, at most guard_full
}

type wireHeir struct {
	_        struct{} `cbor:",toarray"`
	Identity []byte
	Age      uint64
}

func sortHeirs(in []Heir) []Heir {
	out := slices.Clone(in)
	slices.SortFunc(out, func(a, b Heir) int { return bytes.Compare(a.Identity, b.Identity) })
	return out
}

// decodeHeirs reads heirs, by rising identity. Error: ErrDocument.
func decodeHeirs(in []wireHeir) ([]Heir, error) {
	if len(in) > MaxHeirs {
		return nil, ErrDocument
	}
	var out []Heir
	for i, w := range in {
		if len(w.Identity) != ed25519.PublicKeySize || w.Age > 10000 || i > 0 && bytes.Compare(in[i-1].Identity, w.Identity) >= 0 {
			return nil, ErrDocument
		}
		out = append(out, Heir{Identity: w.Identity, Age: int(w.Age)})
	}
	return out, nil
}

// lintHeirs checks what a successor takes over.
func (d *Document) lintHeirs(l *linter) {
	n := len(d.Heirs)
	l.refuse(n > 0 && d.Predecessor == nil, "Ages are taken over, but no predecessor is named: name it.")
	l.refuse(n > MaxHeirs, "The ages of more than %d relays are taken over: leave out the youngest.", MaxHeirs)
	var twice, founder, old, bad bool
	for i, h := range d.Heirs {
		_, isFounder := d.founder(h.Identity)
		twice = twice || i > 0 && h.Identity.Equal(d.Heirs[i-1].Identity)
		founder = founder || isFounder
		old = old || h.Age < 0 || h.Age > d.Params.GuardFull
		bad = bad || record.CheckSigningKey(h.Identity) != nil
	}
	l.refuse(twice, "The age of a relay is taken over twice: make the document anew.")
	l.refuse(founder, "The age of a founder is taken over: a founder's counts as guard_full, so leave it out.")
	l.refuse(old, "An age that is taken over is beyond guard_full: make the document anew.")
	l.refuse(bad, "A relay whose age is taken over has no proper identity: make the document anew.")
}
