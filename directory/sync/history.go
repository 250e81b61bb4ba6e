// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"cmp"
	"math/bits"
	"slices"

	"chive/directory/snapshot"
	"chive/directory/vote"
)

// MaxPastSize bounds what Past returns, in bytes.
const MaxPastSize = 128 << 10

// pastVersion is the first byte of what Past returns.
const pastVersion = 1

// ancestry is the history of the newest final snapshot: the digests of its latest
// ancestors and of itself, and the tree over those before. It is immutable.
type ancestry struct {
	before  snapshot.History
	digests [][32]byte // from number before.Size() on; the newest's is the last
}

// append returns the ancestry of a child with that digest, cut to what is kept.
func (a ancestry) append(digest [32]byte) ancestry {
	out := ancestry{a.before, append(slices.Clip(a.digests), digest)}
	for len(out.digests) > maxCertificates {
		out.before, out.digests = out.before.Append(out.digests[0]), out.digests[1:]
	}
	return out
}

// number returns the number of a header, its history size, by its digest.
func (a ancestry) number(digest [32]byte) (uint64, bool) {
	for i := len(a.digests) - 1; i >= 0; i-- {
		if a.digests[i] == digest {
			return a.before.Size() + uint64(i), true
		}
	}
	return 0, false
}

// at returns the digest of the header with that number.
func (a ancestry) at(number uint64) (digest [32]byte, ok bool) {
	i := number - a.before.Size()
	if number < a.before.Size() || i >= uint64(len(a.digests)) {
		return digest, false
	}
	return a.digests[i], true
}

// path returns the inclusion proof of a number in the history of the header number size,
// if both are kept. Whatever it needs of what lies before is among the peaks of that
// tree. Spec: protocol §7 (TRN-12).
func (a ancestry) path(number, size uint64) ([][32]byte, bool) {
	if number < a.before.Size() || number >= size || size > a.before.Size()+uint64(len(a.digests)) {
		return nil, false
	}
	t := tree{ancestry: a, peaks: splitHashes(a.before.Encode()[8:])}
	path := t.path(number, 0, size)
	return path, !t.failed
}

// tree computes nodes of the history's tree.
type tree struct {
	ancestry
	peaks  [][32]byte
	failed bool
}

// split is the size of the left subtree of one with so many leaves. Spec: RFC 6962, 2.1.
func split(size uint64) uint64 { return 1 << (bits.Len64(size-1) - 1) }

func (t *tree) path(number, lo, hi uint64) [][32]byte {
	if hi-lo == 1 {
		return nil
	}
	mid := lo + split(hi-lo)
	if number < mid {
		return append(t.path(number, lo, mid), t.node(mid, hi))
	}
	return append(t.path(number, mid, hi), t.node(lo, mid))
}

// node returns the root over the leaves from lo to hi.
func (t *tree) node(lo, hi uint64) [32]byte {
	if hi <= t.before.Size() {
		return t.peak(lo, hi)
	}
	if hi-lo == 1 {
		digest, _ := t.at(lo) // lo is not before, and hi is within
		return snapshot.LeafHash(digest[:])
	}
	mid := lo + split(hi-lo)
	return snapshot.TreeRoot([][32]byte{t.node(lo, mid), t.node(mid, hi)})
}

// peak returns the full subtree over exactly these leaves.
func (t *tree) peak(lo, hi uint64) [32]byte {
	start, i := uint64(0), 0
	for left := t.before.Size(); left > 0; i++ {
		size := uint64(1) << (bits.Len64(left) - 1)
		if start == lo && start+size == hi {
			return t.peaks[i]
		}
		start, left = start+size, left-size
	}
	t.failed = true
	return [32]byte{}
}

// Past returns what WithPast wants after a restart, to be stored after each With: at
// most MaxPastSize bytes, version 1 | nid 32 | peaks 1 | size 8 | peaks 32 each |
// digests 32 each. Spec: protocol §7 (SYNC-8).
func (s *Server) Past() []byte {
	nid := s.doc.NetworkID()
	before := s.past.before.Encode()
	out := append([]byte{pastVersion}, nid[:]...)
	out = append(append(out, byte((len(before)-8)/32)), before...)
	return append(out, joinHashes(s.past.digests)...)
}

// decodePast reads what Past wrote.
func (s *Server) decodePast(data []byte) (a ancestry, ok bool) {
	nid := s.doc.NetworkID()
	if len(data) < 34 || len(data) > MaxPastSize || data[0] != pastVersion || [32]byte(data[1:]) != nid {
		return a, false
	}
	size := 8 + 32*int(data[33])
	if data = data[34:]; len(data) < size || (len(data)-size)%32 != 0 {
		return a, false
	}
	before, err := snapshot.DecodeHistory(data[:size])
	return ancestry{before, splitHashes(data[size:])}, err == nil
}

// WithPast returns a server that knows the ancestors of its newest final snapshot
// again: it proves, and shows headers and certificates. past is what Past returned
// before a restart, or nothing; certificates are those that were kept, in any order, and
// fill what past lacks. What does not lead to the newest snapshot is ignored. Nothing is
// verified but that: they come from the relay's own store.
func (s *Server) WithPast(past []byte, certificates []*vote.Certificate) *Server {
	newest := s.newest()
	if newest == nil {
		return s
	}
	known := map[[32]byte]*vote.Certificate{}
	for _, c := range certificates {
		known[c.HeaderDigest()] = c
	}
	best := s.past
	from := []ancestry{{}} // from snapshot 0 on
	if a, ok := s.decodePast(past); ok {
		from = append(from, a)
	}
	for _, a := range from {
		if a, ok := fill(a, newest.snap.Header(), newest.digest, known); ok && len(a.digests) > len(best.digests) {
			best = a
		}
	}
	n := *s
	n.past = best
	n.certs = slices.Clone(s.certs)
	for _, digest := range best.digests {
		c := known[digest]
		if c != nil && !slices.ContainsFunc(n.certs, func(k *kept) bool { return k.digest == digest }) {
			n.certs = append(n.certs, keep(c))
		}
	}
	slices.SortFunc(n.certs, func(a, b *kept) int { return cmp.Compare(a.epoch, b.epoch) })
	n.certs = n.certs[max(0, len(n.certs)-maxCertificates):]
	return &n
}

// fill goes back from a header until what is known joins, and compares the tree with
// the header's.
func fill(a ancestry, h *snapshot.Header, digest [32]byte, known map[[32]byte]*vote.Certificate) (ancestry, bool) {
	first := a.before.Size()
	if first > h.HistorySize {
		return a, false
	}
	need := h.HistorySize - first // digests before the header's own
	var back [][32]byte           // newest first
	for at := h.Parent; uint64(len(a.digests))+uint64(len(back)) < need; {
		c := known[at]
		if back = append(back, at); uint64(len(a.digests))+uint64(len(back)) < need && c == nil {
			return a, false
		}
		if c != nil {
			at = c.Header.Parent
		}
	}
	slices.Reverse(back)
	digests := slices.Concat(a.digests[:min(need, uint64(len(a.digests)))], back)
	tree := a.before
	for _, d := range digests {
		tree = tree.Append(d)
	}
	if tree.Size() != h.HistorySize || tree.Root() != h.HistoryRoot {
		return a, false
	}
	out := ancestry{before: a.before, digests: digests}
	return out.append(digest), true
}

// kept is a certificate that is held to be shown.
type kept struct {
	epoch, number uint64
	digest        [32]byte // of the header
	data          []byte
	header        *snapshot.Header // what data says: one request looks at many of them
}

func keep(c *vote.Certificate) *kept {
	return &kept{c.Header.Epoch, c.Header.HistorySize, c.HeaderDigest(), c.Encode(), c.Header}
}

// certificate returns it as it was given.
func (k *kept) certificate() *vote.Certificate {
	c, err := vote.DecodeCertificate(k.data)
	invariant(err == nil) // it was encoded here
	return c
}
