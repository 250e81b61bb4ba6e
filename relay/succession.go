// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/redact"
)

// Succession is what a successor of a network takes over of its last final list.
type Succession struct {
	Predecessor genesis.Predecessor
	Epoch       uint64         // of that list
	Heirs       []genesis.Heir // all that the list names, with their days of service; founders of the successor are among them
	Unnamed     int            // relays of the list whose identity the store does not hold
	Left        int            // relays on probation or with a penalty: they come as newcomers
}

// stored returns the newest final state that a relay which does not run has in its
// store. Errors: ErrStore, and random's.
func stored(doc *genesis.Document, s Store, random io.Reader) (directory.View, error) {
	var seed [32]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return directory.View{}, err
	}
	var unread error
	m, err := directory.New(directory.Config{
		Document: doc, RID: record.RID{}, Rand: rand.NewChaCha8(seed), Verifier: vote.Plain{}, Saved: saved(s, &unread),
	})
	if err = errors.Join(err, unread); err != nil {
		return directory.View{}, errors.Join(ErrStore, redact.Classify(err))
	}
	return m.Head(), nil
}

// StoredSuccession reads what a successor takes over from the store of a relay that does
// not run. Ages are days of service: what founders were given is not counted.
// Errors: dirsync.ErrAnchor where the store holds no list beyond the document's; ErrStore,
// and random's. Spec: directory §2.
func StoredSuccession(doc *genesis.Document, s Store, random io.Reader) (*Succession, error) {
	v, err := stored(doc, s, random)
	if err != nil {
		return nil, err
	}
	if v.Certificate == nil {
		return nil, dirsync.ErrAnchor
	}
	nid := doc.NetworkID()
	identities := map[record.RID]ed25519.PublicKey{}
	err = s.Each(bucketNames[directory.BucketDesc], func(key, value []byte) error {
		if len(key) != 1+record.RIDSize || key[0] != record.ClassDescriptor {
			return nil
		}
		// The name of a relay is made of its identity: whatever else the record says, or
		// when it expired, does not matter.
		if signed, err := record.DecodeSigned(value, record.MaxDescriptorSize); err == nil {
			if d, err := record.DecodeDescriptor(signed.Payload); err == nil && record.NewRID(nid, d.Identity) == record.RID(key[1:]) {
				identities[record.RID(key[1:])] = d.Identity
			}
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(ErrStore, redact.Classify(err))
	}
	snap := v.State.Snapshot()
	out := &Succession{Predecessor: genesis.Predecessor{NetworkID: nid, Header: v.State.Digest()}, Epoch: snap.Epoch()}
	for i := range snap.Table().Len() {
		r := snap.Table().At(i)
		identity, known := identities[r.RID]
		switch {
		case r.Flags&snapshot.FlagProbation != 0 || v.State.Aux(i).PenaltyEnd > snap.Epoch():
			out.Left++
		case !known:
			out.Unnamed++
		default:
			age := snap.Day() - int(r.BirthDay)
			if r.Flags&snapshot.FlagFounder != 0 {
				age -= doc.Params.GuardFull
			}
			out.Heirs = append(out.Heirs, genesis.Heir{Identity: identity, Age: max(0, age)})
		}
	}
	return out, nil
}
