// SPDX-License-Identifier: BSD-3-Clause

package gossip

// Kind is what a frame is for, as far as its first bytes tell: something to count by. It
// says nothing about whether the rest holds.
type Kind byte

// Kinds of frames, and how many there are.
const (
	KindOther Kind = iota // none of this version
	KindHello
	KindInv
	KindGet
	KindItem
	KindNone
	KindPush
	KindRepair
	KindJoin
	KindJoined
	KindState
	KindStatePart
	KindCount = iota
)

// kindNames are the specification's.
var kindNames = [KindCount]string{"other", "hello", "inv", "get", "item", "none", "push", "repair", "join", "joined", "state", "state_part"}

// String returns the kind's name.
func (k Kind) String() string {
	if int(k) >= KindCount {
		k = KindOther
	}
	return kindNames[k]
}

// KindOf returns the kind of a frame's CBOR: an array whose first item is a small number.
// Spec: protocol §7 (GOS-1).
func KindOf(body []byte) Kind {
	if len(body) < 2 || body[0]>>5 != 4 {
		return KindOther
	}
	switch t := body[1]; {
	case t >= typeHello && t <= typePush:
		return KindHello + Kind(t-typeHello)
	case t >= typeRepairFirst && t <= typeRepairLast:
		return KindRepair
	case t >= typeJoin && t <= typeStatePart:
		return KindJoin + Kind(t-typeJoin)
	}
	return KindOther
}
