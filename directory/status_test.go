// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"crypto/ed25519"
	"testing"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
)

// TestEvidenceFromAClientIsJudgedAndSpread like a PUSH, though nobody is penalised for
// what does not hold.
func TestEvidenceFromAClientIsJudgedAndSpread(t *testing.T) {
	s := newSim(t, 5, 1)
	for _, n := range s.nodes {
		n.start()
	}
	s.until(5 * time.Second)
	liar := s.nodes[4]
	var signed [2][]byte
	for i := range signed {
		liar.onion = i
		published := s.now.Truncate(time.Second)
		signed[i] = liar.descriptor(Publish{Seq: 1, Published: published, Expires: published.Add(time.Minute)})
	}
	identity := signingKey("identity", liar.n).Public().(ed25519.PublicKey)
	e, err := record.NewEvidence(record.ClassDescriptor, identity, signed[0], signed[1])
	if err != nil {
		t.Fatal(err)
	}
	data, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	spoiled := append([]byte(nil), data...)
	spoiled[len(spoiled)-5] ^= 1
	for _, bad := range [][]byte{nil, {1, 2, 3}, spoiled} {
		s.nodes[0].step(Evidence{Data: bad})
	}
	if len(s.nodes[0].m.claims.evidence) != 0 {
		t.Fatal("evidence that does not hold is kept")
	}
	s.nodes[0].step(Evidence{Data: data})
	s.nodes[0].step(Evidence{Data: data})
	s.until(8 * time.Second)
	for _, n := range s.nodes {
		if len(n.m.claims.evidence) != 1 {
			t.Errorf("relay %d holds %d pieces", n.n, len(n.m.claims.evidence))
		}
	}
}

// TestADescriptorOfTwoVoicesUnderACertificateIsEvidence, which a relay makes itself of the
// two that it hears, and all hold. Spec: protocol §7 (DIR-5, REC-6).
func TestADescriptorOfTwoVoicesUnderACertificateIsEvidence(t *testing.T) {
	s := newSim(t, 5, 1)
	for _, n := range s.nodes {
		n.start()
	}
	s.until(5 * time.Second)
	liar, nid := s.nodes[4], s.doc.NetworkID()
	key := signingKey("signing", liar.n)
	cert := record.NewCert(nid, signingKey("identity", liar.n), key.Public().(ed25519.PublicKey), s.now.Add(24*time.Hour))
	for i := range 2 {
		liar.onion = i
		published := s.now.Truncate(time.Second).Add(s.doc.Params.RepublishGap)
		d, err := record.DecodeSigned(liar.descriptor(Publish{Seq: uint64(published.Unix()), Published: published, Expires: published.Add(time.Minute)}), record.MaxDescriptorSize)
		if err != nil {
			t.Fatal(err)
		}
		signed := record.Sign("descriptor", nid, key, d.Payload)
		signed.Cert = cert
		data, err := signed.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, verdict := s.nodes[0].m.acceptDescriptor(data); verdict == gossip.VerdictInvalid {
			t.Fatalf("descriptor %d is refused", i)
		}
	}
	s.nodes[0].step(Tick{})
	s.until(8 * time.Second)
	for _, n := range s.nodes {
		if len(n.m.claims.evidence) != 1 {
			t.Errorf("relay %d holds %d pieces", n.n, len(n.m.claims.evidence))
		}
	}
}

// TestStatusReaders say what a role shows to its operator.
func TestStatusReaders(t *testing.T) {
	s := newSim(t, 5, 1)
	for _, n := range s.nodes {
		n.start()
	}
	s.until(25 * time.Second)
	late := s.add()
	late.start()
	if j := late.m.Joining(); j.Wanted || late.m.Own() != nil {
		t.Errorf("at first: %+v", j)
	}
	late.step(Join{})
	if j := late.m.Joining(); !j.Wanted || j.Seen || j.Offered {
		t.Errorf("after Join: %+v", j)
	}
	late.step(Seen{Snapshot: s.nodes[0].m.Newest()})
	s.until(25*time.Second + 10*time.Millisecond)
	if j := late.m.Joining(); !j.Seen || !j.Offered || j.Asked == 0 || late.m.Own() == nil {
		t.Errorf("asking: %+v", j)
	}
	if late.m.Newest().Epoch() != 2 || late.m.Head().State.Epoch() != 0 {
		t.Errorf("the newest is %d, its own %d", late.m.Newest().Epoch(), late.m.Head().State.Epoch())
	}
	s.until(26 * time.Second)
	if j := late.m.Joining(); j.Accepted != 3 || j.Asked != 0 {
		t.Errorf("introduced: %+v", j)
	}
	s.until(60 * time.Second)
	if late.m.Joining().Wanted {
		t.Error("it is listed and still joins")
	}
	if ahead, n := s.nodes[0].m.Clock(); n < 4 || ahead > 0 || ahead < -time.Second {
		t.Errorf("clock %v of %d", ahead, n)
	}
}
