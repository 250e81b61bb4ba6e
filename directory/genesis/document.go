// SPDX-License-Identifier: BSD-3-Clause

// Package genesis holds the document a network begins with: its name, its
// parameters and its founders. The document's hash is the network id, which every
// link, circuit name and signature of that network carries.
//
// A file is the CBOR array [document, [signature, ...]]: the document as a byte
// string, and for each founder, in the document's order, the signature over
// "chive founder v1" | network id, or an empty byte string where it is still
// missing. The document is a map:
//
//	0 version 1                          5 asmap digest 32, or absent
//	1 name                               6 [predecessor nid 32, header digest 32], or absent
//	2 testnet, true or false             7 founders: [record, ...], each a byte string
//	3 genesis time, Unix s                 that holds a founder's record, sorted
//	4 parameters: {section: [n, ...]}      by identity key
//	                                     8 heirs [[identity, age], ...], or absent
//
// The package decides what a valid document is; it reads no files and asks
// nobody. A Document may be read by any number of goroutines; Sign changes it.
//
// Spec: directory §2.
package genesis

import (
	"bytes"
	"errors"
	"time"

	"chive/directory/record"
	"chive/internal/strictcbor"
)

// Bounds of a document. Spec: directory §2.
const (
	MaxSize        = 64 << 10 // bytes of the file
	MaxTestnetSize = 8 << 20  // same, of a testnet's
	MaxNameSize    = 32       // bytes
	MaxFounders    = 16384
	MinFounders    = 7  // of a public network
	AdviceFounders = 13 // below it a public network is warned about
)

// Version is the version of documents that this package reads and writes.
const Version = 1

var (
	// ErrDocument means bytes that are not a genesis document.
	ErrDocument = errors.New("genesis: not a genesis document")
	// ErrTooLarge means a document beyond its size.
	ErrTooLarge = errors.New("genesis: document too large")
	// ErrUnsigned means that the signature of at least one founder is missing.
	ErrUnsigned = errors.New("genesis: a founder has not signed")
	// ErrSignature means a founder's signature that does not verify.
	ErrSignature = errors.New("genesis: bad founder signature")
	// ErrNotFounder means a signing key that belongs to no founder.
	ErrNotFounder = errors.New("genesis: not a founder's key")
)

// Predecessor is the network that this one succeeds.
type Predecessor struct {
	NetworkID [32]byte
	Header    [32]byte // digest of its last final header
}

// Document is a genesis document. Its exported fields are for reading: the bytes
// that the network id stands for were fixed when it was made.
type Document struct {
	Name        string
	Testnet     bool
	Time        time.Time // start of epoch 0, whole seconds
	Params      Params
	AsmapDigest *[32]byte         // nil: none
	Predecessor *Predecessor      // nil: none
	Founders    []*record.Founder // by identity key
	Heirs       []Heir            // by identity key; only with a predecessor

	raw        []byte
	params     []byte // the encoded parameters within raw
	nid        [32]byte
	signatures [][]byte // one for each founder; empty: missing
}

type wireFile struct {
	_          struct{} `cbor:",toarray"`
	Document   []byte
	Signatures [][]byte
}

type wirePredecessor struct {
	_         struct{} `cbor:",toarray"`
	NetworkID []byte
	Header    []byte
}

type wireDocument struct {
	Version     uint64           `cbor:"0,keyasint"`
	Name        string           `cbor:"1,keyasint"`
	Testnet     bool             `cbor:"2,keyasint"`
	Time        uint64           `cbor:"3,keyasint"`
	Params      strictcbor.Raw   `cbor:"4,keyasint"`
	Asmap       []byte           `cbor:"5,keyasint,omitempty"`
	Predecessor *wirePredecessor `cbor:"6,keyasint,omitempty"`
	Founders    [][]byte         `cbor:"7,keyasint"`
	Heirs       []wireHeir       `cbor:"8,keyasint,omitempty"`
}

// Plan is what a document is made from.
type Plan struct {
	Name        string
	Testnet     bool
	Time        time.Time         // cut down to a multiple of epoch_len
	Params      *Params           // nil: the preset
	AsmapDigest *[32]byte         // nil: none
	Predecessor *Predecessor      // nil: none
	Founders    []*record.Founder // in any order; the records are not copied
	Heirs       []Heir            // in any order; only with a predecessor
}

// New makes an unsigned document with the preset's parameters. The time is cut
// down to a multiple of epoch_len.
// Errors: those of Plan.Document.
func New(name string, founders []*record.Founder, testnet bool, t time.Time) (*Document, error) {
	return Plan{Name: name, Testnet: testnet, Time: t, Founders: founders}.Document()
}

// Document makes an unsigned document. Equal plans make equal documents, however
// their founders are ordered. Errors: *RefusedError for what Lint calls an error,
// ErrParams, ErrTooLarge, and record's for a bad founder.
func (p Plan) Document() (*Document, error) {
	d := &Document{
		Name: p.Name, Testnet: p.Testnet, Params: Preset(p.Testnet),
		AsmapDigest: p.AsmapDigest, Predecessor: p.Predecessor,
		Founders: sortFounders(p.Founders), Heirs: sortHeirs(p.Heirs),
	}
	if p.Params != nil {
		d.Params = *p.Params
	}
	d.Params.Heirs = len(d.Heirs)
	d.Time = time.Unix(p.Time.Unix(), 0).UTC()
	if step := int64(d.Params.EpochLen / time.Second); step > 0 && d.Time.Unix() >= 0 {
		d.Time = time.Unix(d.Time.Unix()/step*step, 0).UTC()
	}
	if err := d.refused(); err != nil {
		return nil, err
	}
	if err := d.seal(); err != nil {
		return nil, err
	}
	d.signatures = make([][]byte, len(d.Founders))
	return d, nil
}

// seal encodes the document and names it.
func (d *Document) seal() error {
	params, err := d.Params.encode(strictcbor.Extra{})
	if err != nil {
		return err
	}
	w := wireDocument{Version: Version, Name: d.Name, Testnet: d.Testnet, Time: uint64(d.Time.Unix()), Params: params}
	if d.AsmapDigest != nil {
		w.Asmap = d.AsmapDigest[:]
	}
	if d.Predecessor != nil {
		w.Predecessor = &wirePredecessor{NetworkID: d.Predecessor.NetworkID[:], Header: d.Predecessor.Header[:]}
	}
	for _, f := range d.Founders {
		b, err := f.Encode()
		if err != nil {
			return err
		}
		w.Founders = append(w.Founders, b)
	}
	for _, h := range d.Heirs {
		w.Heirs = append(w.Heirs, wireHeir{Identity: h.Identity, Age: uint64(h.Age)})
	}
	if d.raw, err = strictcbor.Marshal(w); err != nil {
		return err
	}
	if len(d.raw)+len(d.Founders)*(record.SignatureSize+2)+16 > d.maxSize() {
		return ErrTooLarge
	}
	d.params, d.nid = params, networkID(d.raw)
	return nil
}

func networkID(raw []byte) [32]byte { return record.Hash("genesis", record.Sized(raw)) }

func (d *Document) maxSize() int {
	switch {
	case d.Testnet:
		return MaxTestnetSize
	case len(d.Heirs) > 0:
		return MaxSuccessorSize
	}
	return MaxSize
}

// Parse reads a document's file and verifies it: form, rules, and the signature of
// every founder. Errors: ErrDocument, ErrTooLarge, ErrParams, *RefusedError,
// ErrUnsigned, ErrSignature, and record's for a bad founder.
func Parse(data []byte) (*Document, error) {
	d, err := ParseDraft(data)
	if err != nil {
		return nil, err
	}
	if len(d.Missing()) > 0 {
		return nil, ErrUnsigned
	}
	return d, nil
}

// ParseDraft is Parse for a document on its way from founder to founder:
// signatures may be missing, those that are there must verify.
func ParseDraft(data []byte) (*Document, error) {
	if len(data) > MaxTestnetSize {
		return nil, ErrTooLarge
	}
	var file wireFile
	if _, err := strictcbor.Unmarshal(data, MaxTestnetSize, &file); err != nil {
		return nil, ErrDocument
	}
	d, err := decode(file.Document)
	if err != nil {
		return nil, err
	}
	if len(data) > d.maxSize() {
		return nil, ErrTooLarge
	}
	if len(file.Signatures) != len(d.Founders) {
		return nil, ErrDocument
	}
	for _, s := range file.Signatures {
		if len(s) != 0 && len(s) != record.SignatureSize {
			return nil, ErrDocument
		}
	}
	d.signatures = file.Signatures
	if err := d.refused(); err != nil {
		return nil, err
	}
	if err := d.checkSignatures(); err != nil {
		return nil, err
	}
	return d, nil
}

// decode reads the document itself. raw is kept.
func decode(raw []byte) (*Document, error) {
	var w wireDocument
	if _, err := strictcbor.Unmarshal(raw, MaxTestnetSize, &w); err != nil {
		return nil, ErrDocument
	}
	if w.Version != Version || w.Time > maxUnix || len(w.Name) > MaxNameSize || len(w.Founders) > MaxFounders ||
		(len(w.Asmap) != 0 && len(w.Asmap) != 32) {
		return nil, ErrDocument
	}
	d := &Document{Name: w.Name, Testnet: w.Testnet, Time: time.Unix(int64(w.Time), 0).UTC(), raw: raw, params: w.Params, nid: networkID(raw)}
	var err error
	if d.Params, _, err = decodeParams(w.Params); err != nil {
		return nil, ErrParams
	}
	if len(w.Asmap) == 32 {
		d.AsmapDigest = (*[32]byte)(w.Asmap)
	}
	if p := w.Predecessor; p != nil {
		if len(p.NetworkID) != 32 || len(p.Header) != 32 {
			return nil, ErrDocument
		}
		d.Predecessor = &Predecessor{NetworkID: [32]byte(p.NetworkID), Header: [32]byte(p.Header)}
	}
	if d.Heirs, err = decodeHeirs(w.Heirs); err != nil {
		return nil, err
	}
	d.Params.Heirs = len(d.Heirs)
	for i, b := range w.Founders {
		f, err := record.DecodeFounder(b)
		if err != nil {
			return nil, err
		}
		if i > 0 && bytes.Compare(d.Founders[i-1].Identity, f.Identity) >= 0 {
			return nil, ErrDocument
		}
		d.Founders = append(d.Founders, f)
	}
	return d, nil
}

// maxUnix is the last second of the year 9999.
const maxUnix = 253402300799

// NetworkID returns H("genesis", document).
func (d *Document) NetworkID() [32]byte { return d.nid }

// Encode returns the document's file with the signatures it has so far.
func (d *Document) Encode() ([]byte, error) {
	return strictcbor.Marshal(wireFile{Document: d.raw, Signatures: d.signatures})
}

// EpochAt returns the epoch that a moment belongs to. Before the genesis time it
// is 0.
func (d *Document) EpochAt(now time.Time) uint64 {
	since := now.Sub(d.Time)
	if since < 0 {
		return 0
	}
	return uint64(since / d.Params.EpochLen)
}

// EpochStart returns the moment at which an epoch begins. epoch is bounded by what
// a time can hold; larger ones give the last such moment.
func (d *Document) EpochStart(epoch uint64) time.Time {
	most := uint64(1<<62) / uint64(d.Params.EpochLen)
	return d.Time.Add(time.Duration(min(epoch, most)) * d.Params.EpochLen)
}

// ParamsDigest names the parameters in force: H("params", encoded parameters).
func (d *Document) ParamsDigest() [32]byte { return record.Hash("params", record.Sized(d.params)) }
