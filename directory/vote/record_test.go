// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"chive/directory/committee"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vrf"
	"chive/internal/strictcbor"
)

var nid = [32]byte{1, 2, 3}

// header is that of a proposal of seat 1 with the votes.
func header(epoch uint64, voters Seats, votes [][32]byte) *snapshot.Header {
	h := &snapshot.Header{
		Version: snapshot.HeaderVersion, NetworkID: nid, Epoch: epoch, Parent: [32]byte{4}, HistorySize: epoch, LeafCount: 5,
		Beacon: [32]byte{6}, ProposerSeat: 1, VotesDigest: VotesDigest(voters, votes),
	}
	h.VRFProof = vrfKey(1).Prove(ProposeInput(nid, epoch, [32]byte{7}))
	return h
}

func seatsOf(k int, members ...int) Seats {
	s := NewSeats(k)
	for _, i := range members {
		s.Add(i)
	}
	return s
}

func digests(count int) [][32]byte {
	out := make([][32]byte, count)
	for i := range out {
		out[i] = seed("vote", i)
	}
	return out
}

func voteOf(t testing.TB) *Vote {
	v, err := NewVote(nid, committeeKey(0, 1), 5, [32]byte{4}, 1, []byte("ops"))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func proposalRecord(t testing.TB) *Proposal {
	voters, votes := seatsOf(5, 0, 1, 3, 4), digests(4)
	p, err := NewProposal(nid, committeeKey(0, 1), header(5, voters, votes), voters, votes)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func signatureOf(t testing.TB, header byte) *Signature {
	s, err := NewSignature(nid, committeeKey(0, 1), 5, [32]byte{header}, 1)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// list5 is a list of k seats with the keys of term 0.
func listOf(t testing.TB, c committee.Name, term uint64, k int) *committee.List {
	var seats []committee.Seat
	for i := range k {
		seats = append(seats, committee.Seat{RID: record.RID{byte(i)}, VRF: [32]byte{byte(i)}, Key: public(committeeKey(term, i))})
	}
	l, err := committee.NewList(c, term, seats)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func rootOf(t testing.TB, l *committee.List) [32]byte {
	r, err := l.Root()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// certificateOf is a header signed by the first seats of a list of term.
func certificateOf(t testing.TB, h *snapshot.Header, term uint64, k, signers int) *Certificate {
	set := NewSeats(k)
	var signatures [][64]byte
	for i := range signers {
		g, err := NewSignature(nid, committeeKey(term, i), h.Epoch, h.Digest(), i)
		if err != nil {
			t.Fatal(err)
		}
		set.Add(i)
		signatures = append(signatures, g.Bytes())
	}
	c, err := NewCertificate(h, set, signatures)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// owned is a header that commits to a list of A.
func owned(t testing.TB, epoch uint64, l *committee.List) *snapshot.Header {
	h := header(epoch, seatsOf(5, 0, 1, 3, 4), digests(4))
	h.ListA = rootOf(t, l)
	return h
}

func stepOf(t testing.TB) *Step {
	h := owned(t, 5, listOf(t, committee.A, 0, 5))
	next := listOf(t, committee.A, 1, 5)
	h.NextA = rootOf(t, next)
	s, err := NewStep(certificateOf(t, h, 0, 5, 5), 5, next)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// decoders reads each record and writes it again.
var decoders = map[string]func(data []byte) ([]byte, error){
	"vote": func(data []byte) ([]byte, error) {
		v, err := DecodeVote(data)
		if err != nil {
			return nil, err
		}
		return v.Encode(), nil
	},
	"proposal": func(data []byte) ([]byte, error) {
		p, err := DecodeProposal(data)
		if err != nil {
			return nil, err
		}
		return p.Encode(), nil
	},
	"signature": func(data []byte) ([]byte, error) {
		s, err := DecodeSignature(data)
		if err != nil {
			return nil, err
		}
		return s.Encode(), nil
	},
	"certificate": func(data []byte) ([]byte, error) {
		c, err := DecodeCertificate(data)
		if err != nil {
			return nil, err
		}
		return c.Encode(), nil
	},
	"step": func(data []byte) ([]byte, error) {
		s, err := DecodeStep(data)
		if err != nil {
			return nil, err
		}
		return s.Encode(), nil
	},
	"list": func(data []byte) ([]byte, error) {
		l, err := DecodeList(data)
		if err != nil {
			return nil, err
		}
		return EncodeList(l), nil
	},
	"memory": func(data []byte) ([]byte, error) {
		m, err := DecodeMemory(data, nid, record.RID{9})
		if err != nil {
			return nil, err
		}
		return m.Encode(nid, record.RID{9}), nil
	},
}

func examples(t testing.TB) map[string][]byte {
	h := owned(t, 5, listOf(t, committee.A, 0, 5))
	return map[string][]byte{
		"vote":        voteOf(t).Encode(),
		"proposal":    proposalRecord(t).Encode(),
		"signature":   signatureOf(t, 8).Encode(),
		"certificate": certificateOf(t, h, 0, 5, 4).Encode(),
		"step":        stepOf(t).Encode(),
		"list":        EncodeList(listOf(t, committee.B, 3, 4)),
		"memory":      (&Memory{{1, [32]byte{1}}, {2, [32]byte{2}}, {3, [32]byte{3}}}).Encode(nid, record.RID{9}),
	}
}

// Spec: VOTE-1, VOTE-2, VOTE-3, VOTE-4, VOTE-5, HAND-1, EPOCH-11.
func TestRoundTripAndTruncation(t *testing.T) {
	for name, data := range examples(t) {
		decode := decoders[name]
		again, err := decode(data)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%s: %v, or other bytes", name, err)
		}
		for n := range data {
			if _, err := decode(data[:n]); err == nil {
				t.Errorf("%s: cut at %d and accepted", name, n)
			}
		}
		if _, err := decode(append(bytes.Clone(data), 0)); err == nil {
			t.Errorf("%s: a trailing byte was accepted", name)
		}
	}
}

// Spec: VOTE-1, VOTE-2, VOTE-3, VOTE-4, VOTE-5, VOTE-6, HAND-1, EPOCH-5.
func TestVectors(t *testing.T) {
	e := examples(t)
	line := func(name string) [2]string { return [2]string{name, hex.EncodeToString(e[name])} }
	digest := func(name string, d [32]byte) [2]string { return [2]string{name, hex.EncodeToString(d[:])} }
	v, p, s := voteOf(t), proposalRecord(t), signatureOf(t, 8)
	c, err := DecodeCertificate(e["certificate"])
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "records.txt", "Committee keys: Ed25519, seed SHA-256(\"committee <term><n>\"); VRF: SHA-256(\"vrf1\").\nnid 010203 and zeros.\n", [][2]string{
		line("vote"), digest("vote digest", v.Digest()), digest("ops digest", OpsDigest([]byte("ops"))),
		line("proposal"), digest("proposal digest", p.Digest()), digest("votes digest", VotesDigest(p.Voters, p.Votes)),
		digest("header digest", p.HeaderDigest()),
		{"propose input", hex.EncodeToString(ProposeInput(nid, 5, [32]byte{7}))},
		line("signature"), digest("signature digest", s.Digest()),
		line("certificate"), digest("certificate digest", c.Digest()),
		line("list"), line("step"), line("memory"),
	})
}

// Items are named by class and payload, certificates by their header alone.
// Spec: VOTE-6.
func TestItemsAreNamedByPayload(t *testing.T) {
	v := voteOf(t)
	if v.Digest() != record.ItemDigest(record.ClassVote, v.signed.payload) {
		t.Error("vote")
	}
	p := proposalRecord(t)
	if p.Digest() != record.ItemDigest(record.ClassProposal, p.signed.payload) || p.HeaderDigest() != p.Header.Digest() {
		t.Error("proposal")
	}
	s := signatureOf(t, 8)
	if s.Digest() != record.ItemDigest(record.ClassSignature, s.signed.payload) {
		t.Error("signature")
	}
	h := owned(t, 5, listOf(t, committee.A, 0, 5))
	digest := h.Digest()
	four, five := certificateOf(t, h, 0, 5, 4), certificateOf(t, h, 0, 5, 5)
	if four.Digest() != five.Digest() || four.Digest() != record.ItemDigest(record.ClassCertificate, digest[:]) {
		t.Error("certificate")
	}
}

// Signatures hold under the seat's key, network and kind alone. Spec: VOTE-1.
func TestSignaturesHold(t *testing.T) {
	key := public(committeeKey(0, 1))
	checks := map[string]func(nid, key [32]byte) Check{
		"vote": voteOf(t).Check, "proposal": proposalRecord(t).Check, "signature": signatureOf(t, 8).Check,
	}
	for name, check := range checks {
		if !(Plain{}).Signatures([]Check{check(nid, key)}) {
			t.Errorf("%s: does not hold", name)
		}
		if (Plain{}).Signatures([]Check{check(nid, key), check(nid, public(committeeKey(0, 2)))}) ||
			(Plain{}).Signatures([]Check{check([32]byte{}, key)}) || (Plain{}).Signatures([]Check{check(nid, [32]byte{1})}) {
			t.Errorf("%s: holds under something else", name)
		}
	}
	v := voteOf(t)
	as := v.signed.check(signatureKind, nid, key)
	if (Plain{}).Signatures([]Check{as}) {
		t.Error("a vote passes as a signature")
	}
}

// resigned is a record with another payload.
func resigned(t testing.TB, kind string, payload any, extra int) []byte {
	b, err := strictcbor.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	if extra > 0 {
		b[0]++ // one more pair, at the end: key 64
		b = append(b, 0x18, 64, 0x58, byte(extra))
		b = append(b, make([]byte, extra)...)
	}
	return sign(kind, nid, committeeKey(0, 1), b).raw
}

// Later additions are kept in votes and refused in signatures, which certificates
// make again. Spec: VOTE-1, VOTE-4.
func TestAdditions(t *testing.T) {
	ops := OpsDigest(nil)
	w := wireVote{Version: 1, Epoch: 5, Parent: make([]byte, 32), Seat: 1, Ops: ops[:]}
	item := marshal(wireVoteItem{Signed: resigned(t, voteKind, w, 30)})
	v, err := DecodeVote(item)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(v.Encode(), item) || !(Plain{}).Signatures([]Check{v.Check(nid, public(committeeKey(0, 1)))}) {
		t.Error("not kept byte for byte")
	}
	g := wireSignature{Version: 1, Epoch: 5, Header: make([]byte, 32), Seat: 1}
	if _, err := DecodeSignature(resigned(t, signatureKind, g, 30)); !errors.Is(err, ErrSignature) {
		t.Errorf("in a signature: %v", err)
	}
}

// Spec: VOTE-1, VOTE-2, VOTE-3, VOTE-4.
func TestRecordsRefused(t *testing.T) {
	vote := func(w wireVote, ops []byte) []byte {
		return marshal(wireVoteItem{Signed: resigned(t, voteKind, w, 0), Ops: ops})
	}
	ops := OpsDigest([]byte("ops"))
	good := wireVote{Version: 1, Epoch: 5, Parent: make([]byte, 32), Seat: 95, Ops: ops[:]}
	if _, err := DecodeVote(vote(good, []byte("ops"))); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"other ops": {vote(good, []byte("oqs")), ErrVote},
		"version":   {vote(wireVote{2, 5, good.Parent, 1, ops[:]}, []byte("ops")), ErrVote},
		"parent":    {vote(wireVote{1, 5, make([]byte, 31), 1, ops[:]}, []byte("ops")), ErrVote},
		"seat 96":   {vote(wireVote{1, 5, good.Parent, 96, ops[:]}, []byte("ops")), ErrSeat},
	} {
		if _, err := DecodeVote(test.data); !errors.Is(err, test.want) {
			t.Errorf("vote, %s: %v", name, err)
		}
	}
	s := record.Sign(voteKind, nid, committeeKey(0, 1), voteOf(t).signed.payload)
	s.Cert = record.NewCert(nid, committeeKey(0, 1), make([]byte, 32), start())
	through, err := s.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openStatement(through, 1024); !errors.Is(err, ErrCert) {
		t.Errorf("through a certificate: %v", err)
	}
	s.Cert, s.Alg = nil, 2
	if other, err := s.Encode(); err != nil {
		t.Fatal(err)
	} else if _, err := openStatement(other, 1024); !errors.Is(err, record.ErrAlgorithm) {
		t.Errorf("another algorithm: %v", err)
	}

	p := proposalRecord(t)
	item := func(change func(w *wireProposalItem)) []byte {
		w := wireProposalItem{Signed: p.signed.raw, Header: p.raw, Voters: p.Voters, Votes: join(p.Votes)}
		change(&w)
		return marshal(w)
	}
	otherHeader := *p.Header
	otherHeader.LeafCount++
	for name, data := range map[string][]byte{
		"another header":   item(func(w *wireProposalItem) { w.Header = otherHeader.Encode() }),
		"one vote less":    item(func(w *wireProposalItem) { w.Votes = w.Votes[32:] }),
		"half a vote":      item(func(w *wireProposalItem) { w.Votes = w.Votes[1:] }),
		"other voters":     item(func(w *wireProposalItem) { w.Voters = []byte{0x0f} }),
		"no voters":        item(func(w *wireProposalItem) { w.Voters, w.Votes = nil, nil }),
		"a wider set":      item(func(w *wireProposalItem) { w.Voters = append(bytes.Clone(w.Voters), 0) }),
		"too wide a set":   item(func(w *wireProposalItem) { w.Voters = append(bytes.Clone(w.Voters), make([]byte, 12)...) }),
		"another's signed": item(func(w *wireProposalItem) { w.Signed = voteOf(t).signed.raw }),
	} {
		if _, err := DecodeProposal(data); err == nil {
			t.Errorf("proposal, %s: accepted", name)
		}
	}
}

// Spec: VOTE-5.
func TestCertificateVerify(t *testing.T) {
	l := listOf(t, committee.A, 0, 5)
	h := owned(t, 5, l)
	good := certificateOf(t, h, 0, 5, 4)
	if err := good.Verify(nid, l, Plain{}); err != nil {
		t.Fatal(err)
	}
	forged := certificateOf(t, h, 0, 5, 4)
	forged.Signatures[3][0] ^= 1
	foreign := *h
	foreign.NetworkID = [32]byte{}
	ofB := *h
	ofB.Epoch = 4
	wide := *good
	wide.Signers = append(bytes.Clone(good.Signers), 0)
	beyond := certificateOf(t, h, 0, 6, 6)
	for name, test := range map[string]struct {
		c    *Certificate
		l    *committee.List
		want error
	}{
		"three of five":   {certificateOf(t, h, 0, 5, 3), l, ErrQuorum},
		"a false one":     {forged, l, ErrFalse},
		"other keys":      {certificateOf(t, h, 1, 5, 4), l, ErrFalse},
		"another network": {certificateOf(t, &foreign, 0, 5, 4), l, ErrCertificate},
		"another list":    {good, listOf(t, committee.A, 1, 5), ErrList},
		"an epoch of B":   {certificateOf(t, &ofB, 0, 5, 4), l, ErrList},
		"a wider set":     {&wide, l, ErrSeat},
		"a sixth seat":    {beyond, l, ErrSeat},
	} {
		if err := test.c.Verify(nid, test.l, Plain{}); !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Spec: VOTE-7.
func TestEvidence(t *testing.T) {
	rules := EvidenceRules()
	second, err := NewVote(nid, committeeKey(0, 1), 5, [32]byte{4}, 1, []byte("other ops"))
	if err != nil {
		t.Fatal(err)
	}
	later, err := NewVote(nid, committeeKey(0, 1), 6, [32]byte{4}, 1, []byte("other ops"))
	if err != nil {
		t.Fatal(err)
	}
	key := public(committeeKey(0, 1))
	voters, votes := seatsOf(5, 0, 1, 2, 3), digests(4)
	other, err := NewProposal(nid, committeeKey(0, 1), header(5, voters, votes), voters, votes)
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*record.Evidence{
		"votes":      accuse(record.ClassVote, key, voteOf(t).Signed(), second.Signed()),
		"proposals":  accuse(record.ClassProposal, key, proposalRecord(t).Signed(), other.Signed()),
		"signatures": accuse(record.ClassSignature, key, signatureOf(t, 8).Encode(), signatureOf(t, 9).Encode()),
	} {
		if err := e.Verify(nid, start(), record.Times{}, rules); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		b, err := e.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(b) > 1024 {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	if err := accuse(record.ClassVote, key, voteOf(t).Signed(), later.Signed()).Verify(nid, start(), record.Times{}, rules); !errors.Is(err, record.ErrNoConflict) {
		t.Errorf("two epochs: %v", err)
	}
	if err := accuse(record.ClassVote, public(committeeKey(0, 2)), voteOf(t).Signed(), second.Signed()).Verify(nid, start(), record.Times{}, rules); !errors.Is(err, record.ErrSignature) {
		t.Errorf("of another's key: %v", err)
	}
	if err := rules[record.ClassVote].Conflict([]byte{1}, voteOf(t).signed.payload); err == nil {
		t.Error("what is no vote makes evidence")
	}
	l := listOf(t, committee.A, 0, 5)
	a := owned(t, 5, l)
	b := *a
	b.LeafCount++
	if got := DoubleSigners(l, certificateOf(t, a, 0, 5, 4), certificateOf(t, &b, 0, 5, 5)); len(got) != 4 {
		t.Errorf("%d double signers", len(got))
	}
	if got := DoubleSigners(l, certificateOf(t, a, 0, 5, 4), certificateOf(t, a, 0, 5, 5)); len(got) > 0 {
		t.Errorf("%d double signers of one header", len(got))
	}
}

// Spec: EPOCH-11.
func TestMemory(t *testing.T) {
	m := Memory{{1, [32]byte{1}}, {2, [32]byte{2}}, {3, [32]byte{3}}}
	data := m.Encode(nid, record.RID{9})
	for i := range data {
		bad := bytes.Clone(data)
		bad[i] ^= 1
		if _, err := DecodeMemory(bad, nid, record.RID{9}); !errors.Is(err, ErrMemory) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, test := range []struct {
		epoch     uint64
		digest    byte
		may, done bool
	}{{2, 3, false, false}, {3, 3, true, true}, {3, 4, false, false}, {4, 3, true, false}} {
		if may, done := m.allows(KindSignature, test.epoch, [32]byte{test.digest}); may != test.may || done != test.done {
			t.Errorf("epoch %d, digest %d: %t, %t", test.epoch, test.digest, may, done)
		}
	}
}

func TestSeats(t *testing.T) {
	for _, test := range []struct {
		s    Seats
		k    int
		fits bool
	}{{Seats{0xff}, 8, true}, {Seats{0xff}, 7, false}, {Seats{0x7f}, 7, true}, {Seats{1}, 9, false}, {Seats{1, 0}, 9, true}, {Seats{1, 2}, 9, false}} {
		if test.s.fits(test.k) != test.fits {
			t.Errorf("%x over %d: %t", []byte(test.s), test.k, !test.fits)
		}
	}
	s := seatsOf(20, 3, 0, 19)
	if m := s.Members(); len(m) != 3 || m[0] != 0 || m[1] != 3 || m[2] != 19 || s.Has(-1) || s.Has(24) || !s.Has(19) {
		t.Errorf("members %v", m)
	}
}

// Proofs are those of package vrf. Spec: EPOCH-5.
func TestProofs(t *testing.T) {
	key := vrfKey(1).Public()
	alpha := ProposeInput(nid, 5, [32]byte{7})
	out, err := Plain{}.Proof(key, alpha, vrfKey(1).Prove(alpha))
	if err != nil {
		t.Fatal(err)
	}
	want, err := vrf.Verify(key, alpha, vrfKey(1).Prove(alpha))
	if err != nil || out != want {
		t.Error("another output")
	}
}
