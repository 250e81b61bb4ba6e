// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"encoding/binary"
	"errors"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/weight"
)

// ErrList means bytes that are not a list with its seats.
var ErrList = errors.New("transition: not a list")

// maxSeatCount is the largest list. Spec: directory §6.
const maxSeatCount = 96

const seatSize = record.RIDSize + 2*record.KeySize

// List is a committee's list with all of its seats. It is immutable.
type List struct {
	Name  committee.Name
	Term  uint64
	Seats []committee.Seat
}

// Root returns the list root; zero for no list. Spec: directory §6.
func (l *List) Root() [32]byte {
	if l == nil {
		return [32]byte{}
	}
	return must(l.ForClients().Root()) // it has seats and a name
}

// Encode returns the list's bytes: name 1 | term 8 | K 2 | K x (rid 16 | VRF key 32
// | committee key 32); nothing for no list.
func (l *List) Encode() []byte {
	if l == nil {
		return nil
	}
	out := binary.BigEndian.AppendUint64([]byte{byte(l.Name)}, l.Term)
	out = binary.BigEndian.AppendUint16(out, uint16(len(l.Seats)))
	for i := range l.Seats {
		s := &l.Seats[i]
		out = append(append(append(out, s.RID[:]...), s.VRF[:]...), s.Key[:]...)
	}
	return out
}

// DecodeList reads what Encode wrote; nil for nothing. Error: ErrList.
func DecodeList(data []byte) (*List, error) {
	if len(data) == 0 {
		return nil, nil
	}
	if len(data) < 11 {
		return nil, ErrList
	}
	l := &List{Name: committee.Name(data[0]), Term: binary.BigEndian.Uint64(data[1:])}
	count := int(binary.BigEndian.Uint16(data[9:]))
	data = data[11:]
	if (l.Name != committee.A && l.Name != committee.B) || count == 0 || count > maxSeatCount || len(data) != count*seatSize {
		return nil, ErrList
	}
	l.Seats = make([]committee.Seat, count)
	for i := range l.Seats {
		b := data[i*seatSize:]
		l.Seats[i] = committee.Seat{RID: record.RID(b[:16]), VRF: [32]byte(b[16:48]), Key: [32]byte(b[48:80])}
	}
	return l, nil
}

// Indices of lists.
const (
	listA = iota
	listB
)

// lists are the committees' lists as a header commits to them.
type lists struct{ now, next [2]*List }

func (l *lists) roots() (a, nextA, b, nextB [32]byte) {
	return l.now[listA].Root(), l.next[listA].Root(), l.now[listB].Root(), l.next[listB].Root()
}

func indexOf(n committee.Name) int {
	if n == committee.B {
		return listB
	}
	return listA
}

// List returns a committee's list as this snapshot's header commits to it, and the
// one that will follow; nil: none drawn yet.
func (s *State) List(n committee.Name) (now, next *List) {
	return s.lists.now[indexOf(n)], s.lists.next[indexOf(n)]
}

// OwnerName returns the committee that an epoch belongs to. Spec: directory §6.
func OwnerName(epoch uint64) committee.Name {
	if epoch%5 == 4 {
		return committee.B
	}
	return committee.A
}

// Owner returns the list that votes on and signs the snapshot of a later epoch, if
// this state is its parent: the drawn successor once its term has begun. nil: there
// is none. Spec: directory §6, protocol §7 (TRN-8).
func (s *State) Owner(p genesis.Params, epoch uint64) *List {
	n := OwnerName(epoch)
	now, next := s.List(n)
	if next != nil && epoch >= TermStart(p, n, next.Term) {
		return next
	}
	return now
}

// half is by how much the terms of B are earlier.
func half(p genesis.Params, n committee.Name) uint64 {
	if n == committee.B {
		return uint64(p.Term) / 2
	}
	return 0
}

// TermAt returns a committee's term at an epoch.
func TermAt(p genesis.Params, n committee.Name, epoch uint64) uint64 {
	return (epoch + half(p, n)) / uint64(p.Term)
}

// TermStart returns the first epoch of a committee's term.
func TermStart(p genesis.Params, n committee.Name, term uint64) uint64 {
	start := term * uint64(p.Term)
	return start - min(start, half(p, n))
}

// advance returns the lists that the child of s at an epoch commits to: successors
// whose term has begun are installed, and the list of a term that begins within
// draw_lead is drawn. Spec: directory §6, protocol §7 (TRN-8).
func (s *State) advance(doc *genesis.Document, epoch uint64) lists {
	p, l := doc.Params, s.lists
	for i, n := range []committee.Name{committee.A, committee.B} {
		if next := l.next[i]; next != nil && epoch >= TermStart(p, n, next.Term) {
			l.now[i], l.next[i] = next, nil
		}
		want := TermAt(p, n, epoch+uint64(p.DrawLead))
		if l.next[i] == nil && (l.now[i] == nil || want > l.now[i].Term) {
			l.next[i] = s.draw(doc, n, want)
		}
	}
	return l
}

// draw draws a list from the table, what relays hold, and the beacon of s. nil:
// nobody is eligible.
func (s *State) draw(doc *genesis.Document, n committee.Name, term uint64) *List {
	p, table := doc.Params, s.snap.Table()
	weights := weight.Guards(table, p, s.snap.Day(), true)
	var candidates []committee.Candidate
	var seats []committee.Seat
	for i := range table.Len() {
		r, a := table.At(i), &s.aux[i]
		key, has := a.key(term)
		if !has || !s.Eligible(p, i) {
			continue
		}
		candidates = append(candidates, committee.Candidate{
			RID: r.RID, Weight: weights[i], Group: r.Group, Family: r.Family, IPv4: r.IPv4.Addr(),
		})
		seats = append(seats, committee.Seat{RID: r.RID, VRF: a.VRF, Key: key})
	}
	// A table holds no relay twice, and its weights sum to less than 2^63.
	drawn := must(committee.Draw(committee.Lottery{
		NetworkID: doc.NetworkID(), Committee: n, Term: term, Beacon: s.snap.Header().Beacon,
	}, candidates, committee.CapsOf(p)))
	if len(drawn) == 0 {
		return nil
	}
	l := &List{Name: n, Term: term, Seats: make([]committee.Seat, len(drawn))}
	for i, at := range drawn {
		l.Seats[i] = seats[at]
	}
	return l
}

// ForClients returns the list as clients hold it and certificates are verified
// with; nil for no list.
func (l *List) ForClients() *committee.List {
	if l == nil {
		return nil
	}
	return must(committee.NewList(l.Name, l.Term, l.Seats)) // it has seats and a name
}
