// SPDX-License-Identifier: BSD-3-Clause

package committee

import (
	"encoding/binary"
	"errors"

	"chive/directory/record"
)

// KeySize is the size of a committee key and of a VRF key in bytes.
const KeySize = record.KeySize

// ErrList means a list without seats, or with more than K can say.
var ErrList = errors.New("committee: bad list")

// Seat is one member of a list.
type Seat struct {
	RID record.RID
	VRF [KeySize]byte // proves proposals; fixed by the draw
	Key [KeySize]byte // Ed25519, signs votes, proposals and snapshots in this term
}

// List is what a client holds of a committee: 32 bytes a seat, and one hash for
// what only relays need.
type List struct {
	Committee Name
	Term      uint64
	Keys      [][KeySize]byte // in seat order
	Relays    [32]byte        // RelaysHash of the seats
}

// NewList returns the list of seats, in seat order. Errors: ErrName, ErrList.
func NewList(c Name, term uint64, seats []Seat) (*List, error) {
	l := &List{Committee: c, Term: term, Keys: make([][KeySize]byte, len(seats)), Relays: RelaysHash(seats)}
	for i := range seats {
		l.Keys[i] = seats[i].Key
	}
	if _, err := l.Root(); err != nil {
		return nil, err
	}
	return l, nil
}

// RelaysHash commits to the relays and VRF keys of a list.
// Spec: directory §6 (list root), protocol (COM-3).
func RelaysHash(seats []Seat) [32]byte {
	const size = record.RIDSize + KeySize
	b := make([]byte, 0, size*len(seats))
	for i := range seats {
		b = append(append(b, seats[i].RID[:]...), seats[i].VRF[:]...)
	}
	return record.Hash("list relays", record.Sized(b))
}

// Root returns the list root, which headers carry. Errors: ErrName, ErrList.
// Spec: directory §6 (list root), protocol (COM-3).
func (l *List) Root() ([32]byte, error) {
	if l.Committee != A && l.Committee != B {
		return [32]byte{}, ErrName
	}
	if len(l.Keys) == 0 || len(l.Keys) > maxSeatCount {
		return [32]byte{}, ErrList
	}
	head := binary.BigEndian.AppendUint64([]byte{byte(l.Committee)}, l.Term)
	head = binary.BigEndian.AppendUint16(head, uint16(len(l.Keys)))
	keys := make([]byte, 0, KeySize*len(l.Keys))
	for i := range l.Keys {
		keys = append(keys, l.Keys[i][:]...)
	}
	return record.Hash("list", head, record.Sized(keys), l.Relays[:]), nil
}
