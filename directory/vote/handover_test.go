// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"
	"testing"

	"chive/directory/committee"
	"chive/directory/genesis"
)

// handOver is a network with lists of k seats over terms of A and B, and a
// certificate that hands over to each.
type handOver struct {
	t    testing.TB
	p    genesis.Params
	a, b []*committee.List // by term
}

func newHandOver(t testing.TB, terms, k int) *handOver {
	h := &handOver{t: t, p: genesis.Public()}
	for term := range uint64(terms) {
		h.a = append(h.a, listOf(t, committee.A, term, k))
		h.b = append(h.b, listOf(t, committee.B, term, k))
	}
	return h
}

// at makes the certificate of an epoch, whose header commits to the lists in force
// and to the next ones if they are drawn.
func (h *handOver) at(epoch uint64) *Certificate {
	header := header(epoch, seatsOf(5, 0, 1, 3, 4), digests(4))
	term := epoch / 168
	header.ListA = rootOf(h.t, h.a[term])
	if epoch%168 >= 168-24 {
		header.NextA = rootOf(h.t, h.a[term+1])
	}
	termB := (epoch + 84) / 168
	header.ListB = rootOf(h.t, h.b[termB])
	if (epoch+84)%168 >= 168-24 {
		header.NextB = rootOf(h.t, h.b[termB+1])
	}
	if epoch%5 == 4 {
		term = termB
	}
	k := len(h.a[0].Keys)
	return certificateOf(h.t, header, term, k, k)
}

func (h *handOver) step(epoch uint64, l *committee.List) *Step {
	s, err := NewStep(h.at(epoch), len(l.Keys), l)
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *handOver) anchor() *Anchor {
	return &Anchor{Lists: []*committee.List{h.a[0], h.b[0]}}
}

// Spec: HAND-1, HAND-2.
func TestFollowAcrossTerms(t *testing.T) {
	h := newHandOver(t, 5, 5)
	steps := []*Step{
		h.step(75, h.b[1]), h.step(145, h.a[1]), h.step(235, h.b[2]), h.step(320, h.a[2]), h.step(400, h.b[3]), h.step(485, h.a[3]),
	}
	v := newCached()
	got, err := h.anchor().Follow(h.p, nid, steps, h.at(600), v)
	if err != nil {
		t.Fatal(err)
	}
	if got.Epoch != 600 || len(got.Lists) != 4 || got.last(committee.A).Term != 3 || got.last(committee.B).Term != 3 {
		t.Errorf("epoch %d, %d lists", got.Epoch, len(got.Lists))
	}
	if len(h.anchor().Lists) != 2 {
		t.Error("the anchor was changed")
	}
	// On from there, and with B's lists left out, which no certificate needs.
	if _, err := got.Follow(h.p, nid, nil, h.at(615), v); err != nil {
		t.Error(err)
	}
	if _, err := h.anchor().Follow(h.p, nid, []*Step{steps[1], steps[3], steps[5]}, h.at(600), v); err != nil {
		t.Errorf("A alone: %v", err)
	}
	for name, test := range map[string]struct {
		steps  []*Step
		newest *Certificate
		want   error
	}{
		"a step is missing":      {[]*Step{steps[1], steps[5]}, h.at(600), ErrList},
		"the last is missing":    {[]*Step{steps[1], steps[3]}, h.at(600), ErrList},
		"out of order":           {[]*Step{steps[3], steps[1]}, h.at(345), ErrList},
		"one twice":              {[]*Step{steps[1], steps[1]}, h.at(200), ErrHandOver},
		"the newest is older":    {steps[:2], h.at(100), ErrHandOver},
		"a retired list signs":   {[]*Step{steps[1]}, h.retired(), ErrList},
		"another network's list": {[]*Step{{Certificate: steps[1].Certificate, List: h.a[2]}}, h.at(200), ErrHandOver},
		"more than may be":       {make([]*Step, MaxStepCount+1), h.at(200), ErrHandOver},
	} {
		if _, err := h.anchor().Follow(h.p, nid, test.steps, test.newest, v); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := (&Anchor{}).Follow(h.p, nid, nil, h.at(5), v); !errors.Is(err, ErrHandOver) {
		t.Errorf("no lists: %v", err)
	}
	if _, err := NewStep(h.at(75), 5, h.a[1]); !errors.Is(err, ErrStep) {
		t.Errorf("a step to a list that the header does not have: %v", err)
	}
}

// retired is a header of term 1 that claims that the list of term 0 is in force, signed by it.
func (h *handOver) retired() *Certificate {
	header := header(200, seatsOf(5, 0, 1, 3, 4), digests(4))
	header.ListA, header.ListB = rootOf(h.t, h.a[0]), rootOf(h.t, h.b[1])
	return certificateOf(h.t, header, 0, 5, 5)
}

// The budget of the design: 7.9 kB for a term. Spec: HAND-1.
func TestHandOverBudget(t *testing.T) {
	h := newHandOver(t, 2, 96)
	s := h.step(145, h.a[1])
	if n := len(s.Encode()); n > 7950 || len(s.Certificate.Signatures) != 65 {
		t.Errorf("%d bytes, %d signatures", n, len(s.Certificate.Signatures))
	}
	if _, err := h.anchor().Follow(h.p, nid, []*Step{s}, h.at(170), newCached()); err != nil {
		t.Error(err)
	}
}
