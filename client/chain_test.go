// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"crypto/ed25519"
	"fmt"
	"slices"

	"chive/directory/committee"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
)

// chain is a history of certified snapshots.
type chain struct {
	v      *village
	states []*transition.State
	certs  []*vote.Certificate // the first is nil

	skipped uint64
	forged  bool
}

func (v *village) chain() *chain {
	return &chain{v: v, states: []*transition.State{transition.Genesis(v.doc)}, certs: []*vote.Certificate{nil}}
}

func (c *chain) head() *transition.State { return c.states[len(c.states)-1] }

// fork returns a chain that has the first n+1 states in common.
func (c *chain) fork(n int) *chain {
	return &chain{v: c.v, states: slices.Clone(c.states[:n+1]), certs: slices.Clone(c.certs[:n+1])}
}

// grow certifies snapshots up to an epoch, one for each. flavour makes different ones.
func (c *chain) grow(epoch uint64, flavour byte) *chain {
	c.v.t.Helper()
	first := c.head().Epoch() + 1 + c.skipped
	c.skipped = 0
	for e := first; e <= epoch; e++ {
		in := transition.Input{Epoch: e, VotesDigest: [32]byte{flavour}}
		in.Proof = vrfOf(0).Prove([]byte{byte(e), byte(e >> 8)})
		var err error
		if in.Output, err = vrf.ProofToHash(in.Proof); err != nil {
			c.v.t.Fatal(err)
		}
		owner := c.head().Owner(c.v.doc.Params, e)
		for seat := range owner.Seats {
			in.Votes = append(in.Votes, transition.Vote{Seat: seat})
		}
		next, err := transition.Next(c.v.doc, c.head(), in)
		if err != nil {
			c.v.t.Fatal(err)
		}
		c.states = append(c.states, next)
		c.certs = append(c.certs, c.certify(next))
	}
	return c
}

// skip leaves out the next epochs: they stay without a list.
func (c *chain) skip(epochs uint64) { c.skipped += epochs }

// certify signs a state with all seats of its owner.
func (c *chain) certify(s *transition.State) *vote.Certificate {
	list := s.Owner(c.v.doc.Params, s.Epoch())
	seats := vote.NewSeats(len(list.Seats))
	var sigs [][record.SignatureSize]byte
	for i := range list.Seats {
		key := c.v.committeeKey(&list.Seats[i])
		if c.forged {
			key = keyOf("nobody", i)
		}
		sig, err := vote.NewSignature(c.v.doc.NetworkID(), key, s.Epoch(), s.Digest(), i)
		if err != nil {
			c.v.t.Fatal(err)
		}
		seats.Add(i)
		sigs = append(sigs, sig.Bytes())
	}
	cert, err := vote.NewCertificate(s.Snapshot().Header(), seats, sigs)
	if err != nil {
		c.v.t.Fatal(err)
	}
	return cert
}

func (v *village) committeeKey(seat *committee.Seat) ed25519.PrivateKey {
	for n := range v.doc.Founders {
		for term := range 2 {
			if k := keyOf(fmt.Sprintf("committee %d ", term), n); publicOf(k) == seat.Key {
				return k
			}
		}
	}
	v.t.Fatal("nobody's seat")
	return nil
}

// server returns what a relay serves that holds the chain.
func (c *chain) server() *dirsync.Server {
	s := dirsync.NewServer(c.v.doc)
	for i := 1; i < len(c.states); i++ {
		s = s.With(dirsync.Final{State: c.states[i], Certificate: c.certs[i]})
	}
	return s
}
