// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"
	"net/netip"

	"chive/directory/snapshot"
	"chive/directory/vote"
	"chive/internal/strictcbor"
)

// Caps of an answer.
const (
	maxTiles = snapshot.MaxLeafCount / snapshot.TileLeafCount
	// maxPath bounds an inclusion proof: as many hashes as a history has levels.
	maxPath = 64
	// maxTime bounds what a relay may say of the time.
	maxTime = 1 << 40
)

// Refusal says why a request got no answer.
type Refusal uint8

// Refusals.
const (
	RefusedUnknown Refusal = 0 // no such request, or not understood
	RefusedBusy    Refusal = 1 // ask again later, or another relay
	RefusedAbsent  Refusal = 2 // this relay does not hold it
	refusals       Refusal = 3
)

// Working says which snapshot the answer to a SYNC is about.
type Working uint8

// Working snapshots.
const (
	WorkingZero  Working = 0 // snapshot 0: it has no certificate
	WorkingNamed Working = 1 // the one that the client named
	WorkingOther Working = 2 // that of the certificate
	workings     Working = 3
)

// Reach says what became of dialling a relay back.
type Reach uint8

// What becomes of it. Spec: protocol §7 (REACH-3).
const (
	Reached          Reach = 0 // the relay is there
	ReachRefused     Reach = 1 // nobody listens there, or the connection broke
	ReachTimeout     Reach = 2 // nothing came back
	ReachUnreachable Reach = 3 // no way leads there
	ReachOther       Reach = 4 // somebody answers who does not prove that identity
	ReachBusy        Reach = 5 // it was not tried: ask later, or another relay
	ReachNotAllowed  Reach = 6 // it was not tried: it is not the asker's address, as far as the asked relay knows
	reaches          Reach = 7
)

// Tried reports whether the address was dialled.
func (r Reach) Tried() bool { return r < ReachBusy }

// Answer is one answer. Which fields count depends on Code.
type Answer struct {
	Code    Code
	Refusal Refusal // with CodeRefused
	// SYNC.
	Working     Working
	Certificate []byte     // with WorkingOther. CERT too
	Steps       [][]byte   // hand-over steps, oldest first
	Diff        []byte     // packed; empty: none. DIFF too
	Dict        []byte     // packed dictionaries; empty: they are held, or did not fit. DICT too
	TileRoots   [][32]byte // of the table; none: it is held, or there is a diff
	Tiles       [][]byte   // the first of them. TILE: those asked for, as many as there are
	// TILE: number of the first.
	N uint32
	// HEADER: an encoded header; empty: the epoch was skipped.
	Header []byte
	// PROOF: digest of the ancestor asked for, and its path. SYNC: the path of the
	// header that the client named, if it is no parent; none: not known here.
	Digest [32]byte
	Path   [][32]byte
	// TIME: the relay's, in Unix seconds, at most maxTime.
	Time uint64
	// REACH: what became of it, and the address that the asker's link comes from; the zero
	// address: not known.
	Reach    Reach
	Observed netip.Addr
}

type wireSyncAnswer struct {
	_           struct{} `cbor:",toarray"`
	Working     Working
	Certificate []byte
	Steps       [][]byte
	Diff        []byte
	Dict        []byte
	Roots       []byte // 32 bytes each
	Tiles       [][]byte
	Path        []byte // 32 bytes each
}

type wireTileAnswer struct {
	_     struct{} `cbor:",toarray"`
	N     uint32
	Tiles [][]byte
}

// Encode returns the answer's body: its code in one byte, then its content. Error:
// ErrAnswer for an answer beyond its caps.
func (a *Answer) Encode() ([]byte, error) {
	if !a.inBounds() {
		return nil, ErrAnswer
	}
	out := []byte{byte(a.Code)}
	switch a.Code {
	case CodeRefused:
		return append(out, byte(a.Refusal)), nil
	case CodeSync:
		b, err := strictcbor.Marshal(wireSyncAnswer{
			Working: a.Working, Certificate: a.Certificate, Steps: a.Steps, Diff: a.Diff, Dict: a.Dict,
			Roots: joinHashes(a.TileRoots), Tiles: a.Tiles, Path: joinHashes(a.Path),
		})
		if err != nil || len(b) > MaxContentSize {
			return nil, ErrAnswer
		}
		return append(out, b...), nil
	case CodeTile:
		b, err := strictcbor.Marshal(wireTileAnswer{N: a.N, Tiles: a.Tiles})
		return append(out, b...), err
	case CodeDictionaries:
		return append(out, a.Dict...), nil
	case CodeDiff:
		return append(out, a.Diff...), nil
	case CodeHeader:
		return append(out, a.Header...), nil
	case CodeCertificate:
		return append(out, a.Certificate...), nil
	case CodeProof:
		return append(append(out, a.Digest[:]...), joinHashes(a.Path)...), nil
	case CodeTime:
		return binary.BigEndian.AppendUint64(out, a.Time), nil
	case CodeReach:
		return append(append(out, byte(a.Reach)), a.Observed.AsSlice()...), nil
	}
	return out, nil // EVIDENCE
}

func (a *Answer) inBounds() bool {
	within := func(b []byte, least, most int) bool { return len(b) >= least && len(b) <= most }
	switch a.Code {
	case CodeRefused:
		return a.Refusal < refusals
	case CodeSync:
		return a.syncInBounds(within)
	case CodeTile:
		return a.N < maxTiles && len(a.Tiles) > 0 && len(a.Tiles) <= MaxTileCount && tilesInBounds(a.Tiles)
	case CodeDictionaries:
		return within(a.Dict, 1, MaxContentSize)
	case CodeDiff:
		return within(a.Diff, 1, MaxContentSize)
	case CodeHeader:
		return within(a.Header, 0, snapshot.MaxHeaderSize)
	case CodeCertificate:
		return within(a.Certificate, 1, vote.MaxCertificateSize)
	case CodeProof:
		return len(a.Path) <= maxPath
	case CodeTime:
		return a.Time <= maxTime
	case CodeReach:
		return a.Reach < reaches && !a.Observed.Is4In6() && a.Observed.Zone() == ""
	}
	return a.Code == CodeEvidence
}

func (a *Answer) syncInBounds(within func(b []byte, least, most int) bool) bool {
	if a.Working >= workings || (a.Working == WorkingOther) != (len(a.Certificate) > 0) || len(a.Certificate) > vote.MaxCertificateSize ||
		len(a.Steps) > vote.MaxStepCount || len(a.TileRoots) > maxTiles || len(a.Tiles) > len(a.TileRoots) ||
		(len(a.Diff) > 0 && len(a.TileRoots) > 0) || len(a.Path) > maxPath {
		return false
	}
	if a.Working != WorkingOther && (len(a.Steps) > 0 || len(a.Diff) > 0 || len(a.Dict) > 0 || len(a.TileRoots) > 0 || len(a.Path) > 0) {
		return false
	}
	for _, s := range a.Steps {
		if !within(s, 1, vote.MaxStepSize) {
			return false
		}
	}
	return tilesInBounds(a.Tiles)
}

func tilesInBounds(tiles [][]byte) bool {
	for _, t := range tiles {
		if len(t) < 2 || len(t) > maxTileSize {
			return false
		}
	}
	return true
}

// DecodeAnswer reads what ReadAnswer returned, and refuses the answer to another
// question, apart from a refusal. What it carries is not verified. The result shares
// memory with body. Error: ErrAnswer.
func DecodeAnswer(body []byte, asked *Request) (*Answer, error) {
	if len(body) == 0 || len(body)-1 > MaxContentSize {
		return nil, ErrAnswer
	}
	a, content := &Answer{Code: Code(body[0])}, body[1:]
	if a.Code != CodeRefused && a.Code != asked.Code {
		return nil, ErrAnswer
	}
	ok := true
	switch a.Code {
	case CodeRefused:
		if ok = len(content) == 1; ok {
			a.Refusal = Refusal(content[0])
		}
	case CodeSync:
		ok = a.decodeSync(content)
	case CodeTile:
		var w wireTileAnswer
		_, err := strictcbor.Unmarshal(content, MaxContentSize, &w)
		a.N, a.Tiles = w.N, w.Tiles
		ok = err == nil && w.N == asked.N && uint32(len(w.Tiles)) <= asked.Count
	case CodeDictionaries:
		a.Dict = content
	case CodeDiff:
		a.Diff = content
	case CodeHeader:
		a.Header = content
	case CodeCertificate:
		a.Certificate = content
	case CodeProof:
		if ok = len(content) >= 32 && len(content)%32 == 0 && len(content)/32-1 <= maxPath; ok {
			a.Digest, a.Path = [32]byte(content), splitHashes(content[32:])
		}
	case CodeTime:
		if ok = len(content) == 8; ok {
			a.Time = binary.BigEndian.Uint64(content)
		}
	case CodeReach:
		ok = a.decodeReach(content)
	default:
		ok = len(content) == 0
	}
	if !ok || !a.inBounds() {
		return nil, ErrAnswer
	}
	return a, nil
}

func (a *Answer) decodeSync(content []byte) bool {
	var w wireSyncAnswer
	if _, err := strictcbor.Unmarshal(content, MaxContentSize, &w); err != nil || len(w.Roots)%32 != 0 || len(w.Roots)/32 > maxTiles ||
		len(w.Path)%32 != 0 || len(w.Path)/32 > maxPath {
		return false
	}
	a.Working, a.Certificate, a.Steps, a.Diff, a.Dict = w.Working, w.Certificate, w.Steps, w.Diff, w.Dict
	a.TileRoots, a.Tiles, a.Path = splitHashes(w.Roots), w.Tiles, splitHashes(w.Path)
	return true
}

func (a *Answer) decodeReach(content []byte) bool {
	if len(content) == 0 {
		return false
	}
	seen := true
	if len(content) > 1 {
		a.Observed, seen = netip.AddrFromSlice(content[1:])
	}
	a.Reach = Reach(content[0])
	return seen
}

// Reply returns the answer to a REACH with its padding, ready to be written. observed is
// unmapped and without a zone, or zero.
func Reply(r Reach, observed netip.Addr) []byte {
	out, err := (&Answer{Code: CodeReach, Reach: r, Observed: observed}).Encode()
	if err != nil {
		return refuse(RefusedUnknown)
	}
	return frames(out)
}

func joinHashes(all [][32]byte) []byte {
	var out []byte
	for i := range all {
		out = append(out, all[i][:]...)
	}
	return out
}

func splitHashes(b []byte) (out [][32]byte) {
	for ; len(b) >= 32; b = b[32:] {
		out = append(out, [32]byte(b))
	}
	return out
}
