// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"encoding/binary"
	"errors"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/internal/strictcbor"
)

// Bounds of a hand-over. Spec: directory §8 (hand-over), protocol §13 (HAND-1).
const (
	MaxStepSize  = 8 << 10 // bytes
	MaxStepCount = 64
)

var (
	// ErrStep means bytes that are not a hand-over step.
	ErrStep = errors.New("vote: not a hand-over step")
	// ErrHandOver means a chain that does not lead from the anchor to the
	// certificate.
	ErrHandOver = errors.New("vote: broken hand-over")
)

// listHeadSize is what stands before the keys of an encoded list, in bytes.
const listHeadSize = 1 + 8 + 2 + 32

// EncodeList returns what clients hold of a list: committee 1 | term 8 | K 2 |
// relays 32 | K x committee key 32. Its root is recomputed from that.
func EncodeList(l *committee.List) []byte {
	out := binary.BigEndian.AppendUint64([]byte{byte(l.Committee)}, l.Term)
	out = binary.BigEndian.AppendUint16(out, uint16(len(l.Keys)))
	out = append(out, l.Relays[:]...)
	for i := range l.Keys {
		out = append(out, l.Keys[i][:]...)
	}
	return out
}

// DecodeList reads what EncodeList wrote, of at most MaxSeatCount seats. Error:
// ErrStep.
func DecodeList(data []byte) (*committee.List, error) {
	if len(data) < listHeadSize {
		return nil, ErrStep
	}
	k := int(binary.BigEndian.Uint16(data[9:]))
	if k == 0 || k > MaxSeatCount || len(data) != listHeadSize+32*k {
		return nil, ErrStep
	}
	l := &committee.List{
		Committee: committee.Name(data[0]), Term: binary.BigEndian.Uint64(data[1:]),
		Relays: [32]byte(data[11:]), Keys: make([][committee.KeySize]byte, k),
	}
	if l.Committee != committee.A && l.Committee != committee.B {
		return nil, ErrStep
	}
	for i := range l.Keys {
		l.Keys[i] = [32]byte(data[listHeadSize+32*i:])
	}
	return l, nil
}

// Step hands over from lists that are known to one more: a certificate signed by one
// of them, whose header commits to the other. Of two steps with one certificate the
// one to its own committee's list comes last.
type Step struct {
	Certificate *Certificate
	List        *committee.List
}

type wireStep struct {
	_           struct{} `cbor:",toarray"`
	Certificate []byte
	List        []byte
}

// NewStep returns a step with no more signatures than needed, for the list that is
// handed over and the size of the one that signed. Error: ErrStep when the header
// does not commit to the list, or beyond MaxStepSize.
func NewStep(c *Certificate, signers int, list *committee.List) (*Step, error) {
	s := &Step{Certificate: c.Trim(committee.Quorum(signers)), List: list}
	if root, err := list.Root(); err != nil || !commits(c.Header, list.Committee, root) || len(s.Encode()) > MaxStepSize {
		return nil, ErrStep
	}
	return s, nil
}

// commits reports whether a header has a root among a committee's lists.
func commits(h *snapshot.Header, c committee.Name, root [32]byte) bool {
	if c == committee.B {
		return root == h.ListB || root == h.NextB
	}
	return root == h.ListA || root == h.NextA
}

// Encode returns the step's bytes.
func (s *Step) Encode() []byte {
	return marshal(wireStep{Certificate: s.Certificate.Encode(), List: EncodeList(s.List)})
}

// DecodeStep reads what Encode wrote; nothing is verified. Errors: ErrStep, and
// DecodeCertificate's.
func DecodeStep(data []byte) (*Step, error) {
	var w wireStep
	if _, err := strictcbor.Unmarshal(data, MaxStepSize, &w); err != nil {
		return nil, err
	}
	c, err := DecodeCertificate(w.Certificate)
	if err != nil {
		return nil, err
	}
	l, err := DecodeList(w.List)
	if err != nil {
		return nil, err
	}
	return &Step{Certificate: c, List: l}, nil
}

// Anchor is what a hand-over starts from and ends in: lists that are believed, at an
// epoch. Of a committee the latest two are kept.
type Anchor struct {
	Epoch uint64
	Lists []*committee.List
}

// Follow goes from the anchor along the steps to the newest certificate and returns
// the anchor that it makes: the newest epoch and the latest lists. Each certificate
// is verified with the list that owns its epoch as far as the lists known by then
// tell: the latest of its committee whose term had begun. Epochs do not fall, and
// each step brings a list of a later term. How old an anchor may be, and how fresh
// the newest certificate must be, is the caller's question. With an error comes the anchor as
// far as the steps led. Errors: ErrHandOver, and Certificate.Verify's.
func (a *Anchor) Follow(p genesis.Params, nid [32]byte, steps []*Step, newest *Certificate, v Verifier) (*Anchor, error) {
	at := &Anchor{Epoch: a.Epoch, Lists: append([]*committee.List(nil), a.Lists...)}
	if len(steps) > MaxStepCount {
		return at, ErrHandOver
	}
	for _, s := range steps {
		if err := at.step(p, nid, s, v); err != nil {
			return at, err
		}
	}
	return at, at.believe(p, nid, newest, v)
}

// believe verifies a certificate and moves on to its epoch.
func (a *Anchor) believe(p genesis.Params, nid [32]byte, c *Certificate, v Verifier) error {
	if c.Header.Epoch < a.Epoch {
		return ErrHandOver
	}
	list := a.owner(p, c.Header.Epoch)
	if list == nil {
		return ErrHandOver
	}
	if err := c.Verify(nid, list, v); err != nil {
		return err
	}
	a.Epoch = c.Header.Epoch
	return nil
}

func (a *Anchor) step(p genesis.Params, nid [32]byte, s *Step, v Verifier) error {
	if last := a.last(s.List.Committee); last != nil && s.List.Term <= last.Term {
		return ErrHandOver
	}
	root, err := s.List.Root()
	if err != nil || !commits(s.Certificate.Header, s.List.Committee, root) {
		return ErrHandOver
	}
	if err := a.believe(p, nid, s.Certificate, v); err != nil {
		return err
	}
	a.add(s.List)
	return nil
}

// add puts a list of a new term in place of the oldest but one of its committee.
func (a *Anchor) add(l *committee.List) {
	last := a.last(l.Committee)
	kept := make([]*committee.List, 0, len(a.Lists)+1)
	for _, k := range a.Lists {
		if k.Committee != l.Committee || k == last {
			kept = append(kept, k)
		}
	}
	a.Lists = append(kept, l)
}

// last returns the list of a committee's latest known term.
func (a *Anchor) last(c committee.Name) *committee.List {
	var out *committee.List
	for _, l := range a.Lists {
		if l.Committee == c && (out == nil || l.Term > out.Term) {
			out = l
		}
	}
	return out
}

// owner returns the list that an epoch belongs to, as far as is known.
func (a *Anchor) owner(p genesis.Params, epoch uint64) *committee.List {
	c := transition.OwnerName(epoch)
	var out *committee.List
	for _, l := range a.Lists {
		if l.Committee == c && transition.TermStart(p, c, l.Term) <= epoch && (out == nil || l.Term > out.Term) {
			out = l
		}
	}
	return out
}
