// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"encoding/binary"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
)

// MaxSavedSize bounds what Encode returns, in bytes: the largest table, and what is
// bounded beside it.
const MaxSavedSize = maxTiles*(4+maxTileSize) + snapshot.MaxDictionariesSize + 2<<20

// savedVersion is the first byte of what Encode returns. savedUnforked, which is read
// too, has no fork.
const (
	savedVersion  = 2
	savedUnforked = 1
)

// Encode returns everything, to be saved whole: certificate, lists, table, evidence. What
// was fetched of a table that is not whole is not in it.
//
//	version 2 | nid 32 | epoch 8 | certificate | count 1, lists | dictionaries, packed
//	| count 2, tiles | split certificate | illegal certificate
//	| certificates of a fork: ours, theirs | count 1, evidence
//	| H("follower", length 8 | all before)
//
// Each part stands behind its size in 4 bytes. Snapshot 0 has no certificate,
// dictionaries and tiles: it follows from the document.
func (f *Follower) Encode() []byte {
	at := f.at
	if f.cert == nil { // what an anchor says is the anchor's
		at = &vote.Anchor{}
	}
	out := append([]byte{savedVersion}, f.nid[:]...)
	out = binary.BigEndian.AppendUint64(out, at.Epoch)
	out = appendCertificate(out, f.cert)
	out = append(out, byte(len(at.Lists)))
	for _, l := range at.Lists {
		out = appendPart(out, vote.EncodeList(l))
	}
	if f.cert == nil {
		out = binary.BigEndian.AppendUint16(appendPart(out, nil), 0)
	} else {
		z, t := newPacker(), f.snap.Table()
		out = appendPart(out, z.pack(t.Dictionaries().Encode()))
		out = binary.BigEndian.AppendUint16(out, uint16(len(t.TileRoots())))
		for n := range t.TileRoots() {
			out = appendPart(out, packTile(z, t, n))
		}
	}
	out = appendCertificate(appendCertificate(out, f.split), f.illegal)
	fork := Fork{}
	if f.fork != nil {
		fork = *f.fork
	}
	out = appendCertificate(appendCertificate(out, fork.Ours), fork.Theirs)
	out = append(out, byte(len(f.evidence)))
	for _, e := range f.evidence {
		data, err := e.Encode()
		invariant(err == nil) // it was decoded, or made of verified records
		out = appendPart(out, data)
	}
	sum := record.Hash("follower", record.Sized(out))
	return append(out, sum[:]...)
}

func appendPart(out, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
}

func appendCertificate(out []byte, c *vote.Certificate) []byte {
	if c == nil {
		return appendPart(out, nil)
	}
	return appendPart(out, c.Encode())
}

// LoadFollower goes on from what Encode returned; it can also come with a release, as
// an anchor. Parts must fit each other, and the certificate the lists; whether these may
// be believed is the caller's question. Error: ErrSaved for bytes that are damaged, of
// another network or version.
func LoadFollower(doc *genesis.Document, v vote.Verifier, saved []byte) (*Follower, error) {
	const sum = 32
	if len(saved) < 1+32+8+sum || len(saved) > MaxSavedSize || saved[0] != savedVersion && saved[0] != savedUnforked {
		return nil, ErrSaved
	}
	data := saved[:len(saved)-sum]
	if record.Hash("follower", record.Sized(data)) != [32]byte(saved[len(data):]) {
		return nil, ErrSaved
	}
	f := NewFollower(doc, v)
	if [32]byte(data[1:]) != f.nid {
		return nil, ErrSaved
	}
	r := &savedReader{data: data[33:]}
	zero := f.at
	f.at = &vote.Anchor{Epoch: r.number(8)}
	f.cert = r.certificate()
	f.at.Lists = r.lists()
	dict := r.part(MaxContentSize)
	var tiles [][]byte
	for range r.number(2) {
		if tiles = append(tiles, r.part(maxTileSize)); r.failed {
			return nil, ErrSaved
		}
	}
	f.split, f.illegal = r.certificate(), r.certificate()
	if saved[0] != savedUnforked {
		f.fork = r.fork()
	}
	f.evidence = r.evidence()
	if r.failed || len(r.data) > 0 || !f.restore(dict, tiles) {
		return nil, ErrSaved
	}
	if f.cert == nil {
		f.at = zero // its lists follow from the document
	}
	return f, nil
}

// restore puts the table together and verifies the certificate.
func (f *Follower) restore(packedDict []byte, tiles [][]byte) bool {
	if f.cert == nil {
		return f.at.Epoch == 0 && len(packedDict) == 0 && len(tiles) == 0
	}
	h := f.cert.Header
	list := signer(f.at.Lists, h)
	if h.Epoch != f.at.Epoch || list == nil || f.cert.Verify(f.nid, list, f.v) != nil {
		return false
	}
	data, err := f.zip.unpack(packedDict, snapshot.MaxDictionariesSize)
	if err != nil {
		return false
	}
	dict, err := snapshot.DecodeDictionaries(data)
	if err != nil {
		return false
	}
	var raw [][]byte
	for _, t := range tiles {
		b, err := rawTile(f.zip, t)
		if err != nil {
			return false
		}
		raw = append(raw, b)
	}
	leaves, err := snapshot.ParseTiles(raw)
	if err != nil {
		return false
	}
	table, err := snapshot.NewTable(leaves, dict)
	if err != nil {
		return false
	}
	f.snap, err = snapshot.New(h, table, f.doc.Params)
	return err == nil
}

// savedReader reads parts. After a failure it gives empty ones.
type savedReader struct {
	data   []byte
	failed bool
}

func (r *savedReader) number(size int) uint64 {
	if r.failed || len(r.data) < size {
		r.failed = true
		return 0
	}
	var n uint64
	for _, b := range r.data[:size] {
		n = n<<8 | uint64(b)
	}
	r.data = r.data[size:]
	return n
}

func (r *savedReader) part(most int) []byte {
	n := r.number(4)
	if r.failed || n > uint64(most) || n > uint64(len(r.data)) {
		r.failed = true
		return nil
	}
	b := r.data[:n:n]
	r.data = r.data[n:]
	return b
}

func (r *savedReader) certificate() *vote.Certificate {
	b := r.part(vote.MaxCertificateSize)
	if r.failed || len(b) == 0 {
		return nil
	}
	c, err := vote.DecodeCertificate(b)
	r.failed = err != nil
	return c
}

// fork reads both certificates of a fork, or neither.
func (r *savedReader) fork() *Fork {
	f := &Fork{Ours: r.certificate(), Theirs: r.certificate()}
	r.failed = r.failed || (f.Ours == nil) != (f.Theirs == nil)
	if r.failed || f.Ours == nil {
		return nil
	}
	return f
}

func (r *savedReader) lists() (out []*committee.List) {
	count := r.number(1)
	for range count {
		l, err := vote.DecodeList(r.part(vote.MaxStepSize))
		if r.failed = r.failed || err != nil || count > MaxListCount; r.failed {
			return nil
		}
		out = append(out, l)
	}
	return out
}

func (r *savedReader) evidence() (out []*record.Evidence) {
	count := r.number(1)
	for range count {
		e, err := record.DecodeEvidence(r.part(record.MaxEvidenceSize))
		if r.failed = r.failed || err != nil || count > maxEvidence; r.failed {
			return nil
		}
		out = append(out, e)
	}
	return out
}
