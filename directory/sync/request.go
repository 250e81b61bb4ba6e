// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"net/netip"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

// Code tells requests apart; an answer repeats it.
type Code uint8

// Spec: directory §8 (requests).
const (
	CodeRefused      Code = 0 // answers only
	CodeSync         Code = 1
	CodeTile         Code = 2
	CodeDictionaries Code = 3
	CodeDiff         Code = 4
	CodeHeader       Code = 5
	CodeCertificate  Code = 6
	CodeProof        Code = 7
	CodeEvidence     Code = 8
	CodeTime         Code = 9
	CodeReach        Code = 10 // of a relay over its link; a Server refuses it
)

// MaxListCount bounds the committee lists that a client names.
const MaxListCount = 4

// MaxTileCount bounds the tiles of one TILE. More of them share their padding; what is
// cut off is lost.
const MaxTileCount = 4

// MaxEpoch bounds epochs and numbers of headers that can be asked for.
const MaxEpoch = 1<<48 - 1

// Roots name a table: its leaves and its dictionaries.
type Roots struct{ Dir, Dict [32]byte }

// Request is one question. Which fields count depends on Code.
type Request struct {
	Code Code
	// SYNC: what the client holds and believes.
	HeaderDigest *[32]byte // of its snapshot; nil: snapshot 0
	Table        *Roots    // nil: none. DIFF: the table to begin from
	Lists        [][32]byte
	Bare         bool // the client has some tiles already: their roots, and no diff and no tiles
	// SYNC and HEADER: epoch of the client's lists; epoch asked for.
	Epoch uint64
	// TILE: Count tiles from number N on, of the table with this root of its leaves.
	Dir   [32]byte
	N     uint32
	Count uint32
	// DICT.
	Dict [32]byte
	// DIFF: the table to end with.
	To Roots
	// CERT: digest of a header. PROOF: of the header in whose history it is.
	Digest [32]byte
	// PROOF: number of the ancestor, its own history size.
	Index uint64
	// EVIDENCE: an encoded record.
	Evidence []byte
	// REACH: where the relay that asks is to be dialled. No zone, not mapped.
	Address netip.AddrPort
}

type wireSync struct {
	_      struct{} `cbor:",toarray"`
	Code   Code
	Epoch  uint64
	Header []byte
	Dir    []byte
	Dict   []byte
	Lists  [][]byte
	Bare   bool
}

type wireTile struct {
	_     struct{} `cbor:",toarray"`
	Code  Code
	Dir   []byte
	N     uint32
	Count uint32
}

type wireDict struct {
	_    struct{} `cbor:",toarray"`
	Code Code
	Dict []byte
}

type wireDiff struct {
	_        struct{} `cbor:",toarray"`
	Code     Code
	FromDir  []byte
	FromDict []byte
	ToDir    []byte
	ToDict   []byte
}

type wireHeader struct {
	_     struct{} `cbor:",toarray"`
	Code  Code
	Epoch uint64
}

type wireCertificate struct {
	_      struct{} `cbor:",toarray"`
	Code   Code
	Digest []byte
}

type wireProof struct {
	_     struct{} `cbor:",toarray"`
	Code  Code
	Index uint64
	To    []byte
}

type wireEvidence struct {
	_        struct{} `cbor:",toarray"`
	Code     Code
	Evidence []byte
}

type wireTime struct {
	_    struct{} `cbor:",toarray"`
	Code Code
}

type wireReach struct {
	_    struct{} `cbor:",toarray"`
	Code Code
	IP   []byte
	Port uint16
}

// Encode returns the request's body. Error: ErrRequest for a request that no
// server would answer.
func (q *Request) Encode() ([]byte, error) {
	if !q.inBounds() {
		return nil, ErrRequest
	}
	var v any
	switch q.Code {
	case CodeSync:
		w := wireSync{Code: q.Code, Epoch: q.Epoch, Header: bytesOf(q.HeaderDigest), Bare: q.Bare}
		if q.Table != nil {
			w.Dir, w.Dict = q.Table.Dir[:], q.Table.Dict[:]
		}
		for i := range q.Lists {
			w.Lists = append(w.Lists, q.Lists[i][:])
		}
		v = w
	case CodeTile:
		v = wireTile{Code: q.Code, Dir: q.Dir[:], N: q.N, Count: q.Count}
	case CodeDictionaries:
		v = wireDict{Code: q.Code, Dict: q.Dict[:]}
	case CodeDiff:
		v = wireDiff{Code: q.Code, FromDir: q.Table.Dir[:], FromDict: q.Table.Dict[:], ToDir: q.To.Dir[:], ToDict: q.To.Dict[:]}
	case CodeHeader:
		v = wireHeader{Code: q.Code, Epoch: q.Epoch}
	case CodeCertificate:
		v = wireCertificate{Code: q.Code, Digest: q.Digest[:]}
	case CodeProof:
		v = wireProof{Code: q.Code, Index: q.Index, To: q.Digest[:]}
	case CodeEvidence:
		v = wireEvidence{Code: q.Code, Evidence: q.Evidence}
	case CodeTime:
		v = wireTime{Code: q.Code}
	case CodeReach:
		v = wireReach{Code: q.Code, IP: q.Address.Addr().AsSlice(), Port: q.Address.Port()}
	}
	return strictcbor.Marshal(v)
}

func (q *Request) inBounds() bool {
	switch q.Code {
	case CodeSync:
		return q.Epoch <= MaxEpoch && len(q.Lists) <= MaxListCount
	case CodeTile:
		return q.N < maxTiles && q.Count > 0 && q.Count <= MaxTileCount
	case CodeDictionaries, CodeCertificate, CodeTime:
		return true
	case CodeDiff:
		return q.Table != nil
	case CodeHeader:
		return q.Epoch <= MaxEpoch
	case CodeProof:
		return q.Index <= MaxEpoch
	case CodeEvidence:
		return len(q.Evidence) > 0 && len(q.Evidence) <= record.MaxEvidenceSize
	case CodeReach:
		return record.CheckAddresses([]netip.AddrPort{q.Address}) == nil
	}
	return false
}

// requestReader reads the body of one kind of request. Hashes of other sizes, and
// everything else that Encode does not write, fail.
type requestReader func(body []byte) (*Request, error)

func requestReaders() map[Code]requestReader {
	return map[Code]requestReader{
		CodeSync: readSync,
		CodeTile: func(b []byte) (*Request, error) {
			var w wireTile
			err := read(b, &w)
			q := &Request{N: w.N, Count: w.Count}
			return q, hashes(err, into{&q.Dir, w.Dir})
		},
		CodeDictionaries: func(b []byte) (*Request, error) {
			var w wireDict
			err := read(b, &w)
			q := &Request{}
			return q, hashes(err, into{&q.Dict, w.Dict})
		},
		CodeDiff: func(b []byte) (*Request, error) {
			var w wireDiff
			err := read(b, &w)
			q := &Request{Table: &Roots{}}
			return q, hashes(err, into{&q.Table.Dir, w.FromDir}, into{&q.Table.Dict, w.FromDict}, into{&q.To.Dir, w.ToDir}, into{&q.To.Dict, w.ToDict})
		},
		CodeHeader: func(b []byte) (*Request, error) {
			var w wireHeader
			err := read(b, &w)
			return &Request{Epoch: w.Epoch}, err
		},
		CodeCertificate: func(b []byte) (*Request, error) {
			var w wireCertificate
			err := read(b, &w)
			q := &Request{}
			return q, hashes(err, into{&q.Digest, w.Digest})
		},
		CodeProof: func(b []byte) (*Request, error) {
			var w wireProof
			err := read(b, &w)
			q := &Request{Index: w.Index}
			return q, hashes(err, into{&q.Digest, w.To})
		},
		CodeEvidence: func(b []byte) (*Request, error) {
			var w wireEvidence
			err := read(b, &w)
			return &Request{Evidence: w.Evidence}, err
		},
		CodeTime: func(b []byte) (*Request, error) {
			var w wireTime
			return &Request{}, read(b, &w)
		},
		CodeReach: func(b []byte) (*Request, error) {
			var w wireReach
			err := read(b, &w)
			ip, _ := netip.AddrFromSlice(w.IP) // of any other length: no address
			return &Request{Address: netip.AddrPortFrom(ip, w.Port)}, err
		},
	}
}

func readSync(b []byte) (*Request, error) {
	var w wireSync
	if err := read(b, &w); err != nil || len(w.Lists) > MaxListCount || (len(w.Dir) == 0) != (len(w.Dict) == 0) {
		return nil, ErrRequest
	}
	q := &Request{Epoch: w.Epoch, Bare: w.Bare}
	var all []into
	if len(w.Header) > 0 {
		q.HeaderDigest = new([32]byte)
		all = append(all, into{q.HeaderDigest, w.Header})
	}
	if len(w.Dir) > 0 {
		q.Table = &Roots{}
		all = append(all, into{&q.Table.Dir, w.Dir}, into{&q.Table.Dict, w.Dict})
	}
	if len(w.Lists) > 0 {
		q.Lists = make([][32]byte, len(w.Lists))
	}
	for i, l := range w.Lists {
		all = append(all, into{&q.Lists[i], l})
	}
	return q, hashes(nil, all...)
}

func read(body []byte, w any) error {
	_, err := strictcbor.Unmarshal(body, MaxRequestSize, w)
	return err
}

// into is a hash that was read, and its place.
type into struct {
	place *[32]byte
	data  []byte
}

func hashes(err error, all ...into) error {
	for _, h := range all {
		if len(h.data) != 32 {
			return ErrRequest
		}
		*h.place = [32]byte(h.data)
	}
	return err
}

// DecodeRequest reads a request's body. Error: ErrRequest.
func DecodeRequest(body []byte) (*Request, error) {
	code, err := codeOf(body)
	if err != nil {
		return nil, ErrRequest
	}
	reader := requestReaders()[code]
	if reader == nil {
		return nil, ErrRequest
	}
	q, err := reader(body)
	if err != nil {
		return nil, ErrRequest
	}
	if q.Code = code; !q.inBounds() {
		return nil, ErrRequest
	}
	return q, nil
}

// codeOf reads the first element of an array.
func codeOf(body []byte) (Code, error) {
	var parts []strictcbor.Raw
	if _, err := strictcbor.Unmarshal(body, MaxRequestSize, &parts); err != nil {
		return 0, err
	}
	if len(parts) == 0 {
		return 0, strictcbor.ErrType
	}
	var code Code
	_, err := strictcbor.Unmarshal(parts[0], MaxRequestSize, &code)
	return code, err
}

func bytesOf(h *[32]byte) []byte {
	if h == nil {
		return nil
	}
	return h[:]
}
