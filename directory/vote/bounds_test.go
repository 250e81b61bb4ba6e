// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"errors"
	"testing"

	"chive/directory/committee"
	"chive/directory/snapshot"
	"chive/internal/strictcbor"
)

// The largest of each, and one byte more. Spec: VOTE-2, VOTE-3, VOTE-4, VOTE-5, HAND-1.
func TestSizes(t *testing.T) {
	if _, err := NewVote(nid, committeeKey(0, 1), ^uint64(0), [32]byte{}, 95, make([]byte, MaxVoteOps+1)); !errors.Is(err, ErrVote) {
		t.Errorf("ops: %v", err)
	}
	v, err := NewVote(nid, committeeKey(0, 1), ^uint64(0), [32]byte{}, 95, make([]byte, MaxVoteOps))
	if err != nil || len(v.Encode()) > MaxVoteSize {
		t.Fatalf("%v, %d bytes", err, len(v.Encode()))
	}
	if _, err := DecodeVote(v.Encode()); err != nil {
		t.Errorf("the largest vote: %v", err)
	}

	// The largest committee, everybody listed, the largest numbers.
	voters, votes := seatsOf(96, upTo(0, 96)...), digests(96)
	h := header(^uint64(0), voters, votes)
	h.ProposerSeat, h.HistorySize, h.LeafCount = 95, ^uint64(0), snapshot.MaxLeafCount
	p, err := NewProposal(nid, committeeKey(0, 1), h, voters, votes)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.Encode()); n > MaxProposalSize {
		t.Errorf("%d bytes", n)
	} else {
		t.Logf("the largest proposal: %d bytes", n)
	}
	l := listOf(t, committee.A, 0, 96)
	h = owned(t, 1<<40, l)
	next := listOf(t, committee.A, 1, 96)
	h.NextA = rootOf(t, next)
	c := certificateOf(t, h, 0, 96, 96)
	if n := len(c.Encode()); n > MaxCertificateSize {
		t.Errorf("%d bytes", n)
	} else {
		t.Logf("the largest certificate: %d bytes, with a quorum %d", n, len(c.Trim(committee.Quorum(96)).Encode()))
	}
	if err := c.Verify(nid, l, newCached()); err != nil {
		t.Error(err)
	}
	if err := c.Trim(committee.Quorum(96)).Verify(nid, l, newCached()); err != nil {
		t.Errorf("trimmed: %v", err)
	}
	s, err := NewStep(c, 96, next)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the largest step: %d bytes", len(s.Encode()))
	for name, max := range map[string]int{
		"vote": MaxVoteSize, "proposal": MaxProposalSize, "signature": MaxSignatureSize, "certificate": MaxCertificateSize, "step": MaxStepSize,
	} {
		// A byte string of the size and one more: the first is not of the form, the
		// second is not looked at.
		for extra := range 2 {
			head := []byte{0x59, byte((max + extra - 3) >> 8), byte(max + extra - 3)}
			_, err := decoders[name](append(head, make([]byte, max+extra-3)...))
			if errors.Is(err, strictcbor.ErrSize) != (extra == 1) || err == nil {
				t.Errorf("%s, %d bytes too many: %v", name, extra, err)
			}
		}
	}
	long := marshal(wireVoteItem{Signed: make([]byte, 10), Ops: make([]byte, MaxVoteOps+1)})
	if _, err := DecodeVote(long); !errors.Is(err, ErrVote) {
		t.Errorf("ops that only a vote without a signature has room for: %v", err)
	}
}

func fuzz(f *testing.F, name string) {
	f.Add(examples(f)[name])
	f.Fuzz(func(t *testing.T, data []byte) {
		again, err := decoders[name](data)
		if err == nil && !bytes.Equal(again, data) {
			t.Fatalf("became %x", again)
		}
	})
}

func FuzzVote(f *testing.F)        { fuzz(f, "vote") }
func FuzzProposal(f *testing.F)    { fuzz(f, "proposal") }
func FuzzSignature(f *testing.F)   { fuzz(f, "signature") }
func FuzzCertificate(f *testing.F) { fuzz(f, "certificate") }
func FuzzStep(f *testing.F)        { fuzz(f, "step") }
func FuzzList(f *testing.F)        { fuzz(f, "list") }
func FuzzMemory(f *testing.F)      { fuzz(f, "memory") }
