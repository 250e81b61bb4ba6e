// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"bytes"
	"errors"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/strictcbor"
)

// GuardStateVersion is the version that this package writes: CBOR, and behind it
// guardSumSize bytes of its digest, by which damage is known that would leave another
// guard. It reads version 1 too, which has no digest.
const GuardStateVersion = 2

// guardSumSize is the size of the digest behind the state in bytes.
const guardSumSize = 8

// guardSum returns the digest of a state without it.
func guardSum(state []byte) []byte {
	h := record.Hash("guard state", state)
	return h[:guardSumSize]
}

// MaxGuardStateSize bounds the encoded state in bytes.
const MaxGuardStateSize = 4096

// maxAdditions bounds the additions remembered; it is not below any GuardNew that
// a network can ask for and keep.
const maxAdditions = 64

// ErrGuardState means bytes that are not the state of a Guards: damaged, or
// written by another version. The client's choice is to say so and stop, or to
// start with new guards.
var ErrGuardState = errors.New("path: guard state is damaged or of another version")

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

type wireGuard struct {
	_       struct{} `cbor:",toarray"`
	RID     []byte
	Expires uint64
	Absent  uint64 // 0: it is there
	Last    uint64 // 0: not moved
}

type wireGuards struct {
	Version   uint64      `cbor:"0,keyasint"`
	Guards    []wireGuard `cbor:"1,keyasint"`
	Additions []uint64    `cbor:"2,keyasint"`
}

// grain is the step of times on disk: a day where guards live for weeks, so that
// the file does not tell when its user was about. Spec: security LOG-8.
func (g *Guards) grain() time.Duration {
	if g.p.GuardLifeMin >= 7*24*time.Hour {
		return 24 * time.Hour
	}
	return time.Second
}

// round cuts a time to the grain.
func (g *Guards) round(t time.Time) time.Time {
	step := int64(g.grain() / time.Second)
	return time.Unix(t.Unix()/step*step, 0).UTC()
}

// Encode returns the state to be kept: which guards, until when, who was away or
// is last. What was learnt about links and circuits is not kept.
func (g *Guards) Encode() []byte {
	w := wireGuards{Version: GuardStateVersion}
	unix := func(t time.Time) uint64 {
		if t.IsZero() {
			return 0
		}
		return uint64(max(g.round(t).Unix(), 0))
	}
	for _, x := range g.list {
		w.Guards = append(w.Guards, wireGuard{RID: x.rid[:], Expires: unix(x.expires), Absent: unix(x.absent), Last: unix(x.last)})
	}
	for _, t := range g.additions {
		w.Additions = append(w.Additions, unix(t))
	}
	b, err := strictcbor.Marshal(w)
	if err != nil {
		panic("path: guard state always encodes")
	}
	return append(b, guardSum(b)...)
}

// decodeGuards reads a state of version 1, or one of this version whose digest is right.
func decodeGuards(data []byte) (*wireGuards, bool) {
	var w wireGuards
	if n := len(data) - guardSumSize; n > 0 && bytes.Equal(guardSum(data[:n]), data[n:]) {
		_, err := strictcbor.Unmarshal(data[:n], MaxGuardStateSize, &w)
		return &w, err == nil && w.Version == GuardStateVersion
	}
	_, err := strictcbor.Unmarshal(data, MaxGuardStateSize, &w)
	return &w, err == nil && w.Version == 1
}

// LoadGuards reads what Encode wrote. Times that a clock once set wrong put too
// far ahead are brought back to what now allows. Error: ErrGuardState.
func LoadGuards(data []byte, p genesis.Params, now time.Time) (*Guards, error) {
	w, ok := decodeGuards(data)
	if !ok || len(w.Guards) > maxGuards || len(w.Additions) > maxAdditions {
		return nil, ErrGuardState
	}
	g := NewGuards(p, now)
	bad := false
	read := func(n uint64, latest time.Time) time.Time {
		if bad = bad || n > maxUnix; bad || n == 0 {
			return time.Time{}
		}
		if t := time.Unix(int64(n), 0).UTC(); t.Before(latest) {
			return t
		}
		return latest
	}
	first := uint64(g.grain() / time.Second) // an earlier time would be written as none
	for _, x := range w.Guards {
		if len(x.RID) != record.RIDSize || x.Expires < first || g.find(record.RID(x.RID)) != nil {
			return nil, ErrGuardState
		}
		g.list = append(g.list, &guard{
			rid: record.RID(x.RID), expires: read(x.Expires, now.Add(p.GuardLifeMax)),
			absent: read(x.Absent, now), last: read(x.Last, now.Add(p.GuardLast)),
		})
	}
	for _, t := range w.Additions {
		g.additions = append(g.additions, read(t, now))
	}
	if bad {
		return nil, ErrGuardState
	}
	return g, nil
}
