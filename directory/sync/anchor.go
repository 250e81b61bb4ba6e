// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"cmp"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vote"
)

// Bounds of an anchor file. Spec: directory §8 (COLD), protocol §7 (ANC-1).
const (
	MaxAnchorSize    = 32 << 10 // bytes
	MaxFallbackCount = 150      // relays in it
	fallbackAge      = 120      // days of service that they have, where there are enough such
	anchorLabel      = "chive anchor v1\n"
	fallbackHasIPv4  = 1
	fallbackHasIPv6  = 2
	// An anchor is old after so much of the age limit: six weeks of ninety days.
	anchorOldPart, anchorOldOf = 7, 15
)

var (
	// ErrAnchor means bytes that are no anchor file, or one whose parts do not hold.
	ErrAnchor = errors.New("sync: not an anchor")
	// ErrAnchorNetwork means the anchor file of another network.
	ErrAnchorNetwork = errors.New("sync: anchor of another network")
)

// AnchorFile is what somebody may begin with whose genesis document is too old: a final
// header with its certificate, the committees' lists that the header commits to, and
// relays to ask. That its parts fit each other proves nothing: who gives it is believed,
// as who gives the genesis document is. It is immutable.
//
//	"chive anchor v1\n" | nid 32 | size 4, certificate | count 1 | count x (size 4, list)
//	| count 1 | count x (rid 16 | which 1 | IPv4 4, port 2, if which has 1 | IPv6 16, port 2, if 2)
//	| H("anchor", length 8 | all before)
//
// Lists come in the order of the header's roots, relays by rising rid.
//
// Spec: directory §8 (COLD), protocol §7 (ANC-1, ANC-2).
type AnchorFile struct {
	Certificate *vote.Certificate
	Lists       []*committee.List
	Fallback    []Fallback
}

// Fallback is a relay to be asked first, while no table is known.
type Fallback struct {
	RID       record.RID
	Addresses []netip.AddrPort // of IPv4, of IPv6: at most one each
}

// Epoch is that of the header.
func (a *AnchorFile) Epoch() uint64 { return a.Certificate.Header.Epoch }

// NewAnchorFile makes an anchor of a final snapshot and of the lists that are known then.
// Error: ErrAnchor for snapshot 0, which the document is enough for, or where the list
// that has signed is missing.
func NewAnchorFile(s *snapshot.Snapshot, c *vote.Certificate, lists []*committee.List) (*AnchorFile, error) {
	if c == nil || c.HeaderDigest() != s.Header().Digest() {
		return nil, ErrAnchor
	}
	a := &AnchorFile{Certificate: c, Fallback: fallbacks(s)}
	for _, root := range rootsInForce(c.Header) {
		i := slices.IndexFunc(lists, func(l *committee.List) bool { r, err := l.Root(); return err == nil && r == root })
		if i >= 0 {
			a.Lists = append(a.Lists, lists[i])
		}
	}
	if a.signer() == nil {
		return nil, ErrAnchor
	}
	return a, nil
}

// AnchorFile makes an anchor of the newest table that is held. Error: ErrAnchor while
// there is none.
func (f *Follower) AnchorFile() (*AnchorFile, error) {
	return NewAnchorFile(f.snap, f.cert, f.at.Lists)
}

// AnchorFile makes an anchor of a final state. Error: ErrAnchor for snapshot 0.
func (f Final) AnchorFile() (*AnchorFile, error) {
	if f.State == nil {
		return nil, ErrAnchor
	}
	var lists []*committee.List
	for _, l := range f.State.Lists() {
		if l != nil {
			lists = append(lists, l.ForClients())
		}
	}
	return NewAnchorFile(f.State.Snapshot(), f.Certificate, lists)
}

// rootsInForce are those that a header commits to, each once.
func rootsInForce(h *snapshot.Header) (out [][32]byte) {
	for _, root := range [][32]byte{h.ListA, h.NextA, h.ListB, h.NextB} {
		if root != ([32]byte{}) && !slices.Contains(out, root) {
			out = append(out, root)
		}
	}
	return out
}

// signer is the list that has signed.
func (a *AnchorFile) signer() *committee.List { return signer(a.Lists, a.Certificate.Header) }

// fallbacks chooses relays that are likely to be there for long: the oldest that run, of
// distinct groups as far as there are such.
func fallbacks(s *snapshot.Snapshot) []Fallback {
	var all []*snapshot.Relay
	for i := range s.Table().Len() {
		if r := s.Table().At(i); r.Flags&snapshot.FlagRunning != 0 && r.Flags&snapshot.FlagProbation == 0 {
			all = append(all, r)
		}
	}
	old := func(r *snapshot.Relay) int { // those of fallbackAge are alike
		return min(s.Day()-int(r.BirthDay), fallbackAge)
	}
	slices.SortStableFunc(all, func(a, b *snapshot.Relay) int { return cmp.Compare(old(b), old(a)) })
	var out, rest []Fallback
	groups := map[uint16]bool{}
	for _, r := range all {
		f := Fallback{RID: r.RID}
		for _, addr := range []netip.AddrPort{r.IPv4, r.IPv6} {
			if addr.IsValid() {
				f.Addresses = append(f.Addresses, addr)
			}
		}
		switch {
		case len(f.Addresses) == 0:
		case groups[r.Leaf.Group]:
			rest = append(rest, f)
		default:
			groups[r.Leaf.Group] = true
			out = append(out, f)
		}
	}
	out = append(out, rest...)
	out = out[:min(len(out), MaxFallbackCount)]
	slices.SortFunc(out, func(a, b Fallback) int { return a.RID.Compare(b.RID) })
	return out
}

// Encode returns the file's bytes.
func (a *AnchorFile) Encode() []byte {
	nid := a.Certificate.Header.NetworkID
	out := append([]byte(anchorLabel), nid[:]...)
	out = appendCertificate(out, a.Certificate)
	out = append(out, byte(len(a.Lists)))
	for _, l := range a.Lists {
		out = appendPart(out, vote.EncodeList(l))
	}
	out = append(out, byte(len(a.Fallback)))
	for _, f := range a.Fallback {
		out = append(out, f.RID[:]...)
		at := len(out)
		out = append(out, 0)
		for _, addr := range f.Addresses {
			ip := addr.Addr()
			if ip.Is4() {
				out[at] |= fallbackHasIPv4
			} else {
				out[at] |= fallbackHasIPv6
			}
			out = binary.BigEndian.AppendUint16(append(out, ip.AsSlice()...), addr.Port())
		}
	}
	sum := record.Hash("anchor", record.Sized(out))
	return append(out, sum[:]...)
}

// ParseAnchorFile reads what Encode wrote; whether its certificate holds is Verify's
// question. The result does not share memory with data. Error: ErrAnchor.
func ParseAnchorFile(data []byte) (*AnchorFile, error) {
	const sum = 32
	head := len(anchorLabel) + record.NetworkIDSize
	if len(data) < head+sum || len(data) > MaxAnchorSize || string(data[:len(anchorLabel)]) != anchorLabel {
		return nil, ErrAnchor
	}
	body := slices.Clone(data[:len(data)-sum])
	if record.Hash("anchor", record.Sized(body)) != [32]byte(data[len(body):]) {
		return nil, ErrAnchor
	}
	r := &savedReader{data: body[head:]}
	a := &AnchorFile{Certificate: r.certificate(), Lists: r.lists()}
	a.Fallback = r.fallbacks()
	if r.failed || len(r.data) > 0 || a.Certificate == nil || a.Certificate.Header.NetworkID != [32]byte(body[len(anchorLabel):]) || !a.committed() {
		return nil, ErrAnchor
	}
	return a, nil
}

// fallbacks reads relays.
func (r *savedReader) fallbacks() (out []Fallback) {
	count := r.number(1)
	for range count {
		if r.failed = r.failed || count > MaxFallbackCount || len(r.data) < record.RIDSize; r.failed {
			return nil
		}
		f := Fallback{RID: record.RID(r.data)}
		r.data = r.data[record.RIDSize:]
		which := r.number(1)
		if which&fallbackHasIPv4 != 0 {
			f.Addresses = append(f.Addresses, r.address(4))
		}
		if which&fallbackHasIPv6 != 0 {
			f.Addresses = append(f.Addresses, r.address(16))
		}
		r.failed = r.failed || which == 0 || which > fallbackHasIPv4|fallbackHasIPv6 ||
			len(out) > 0 && out[len(out)-1].RID.Compare(f.RID) >= 0 || record.CheckAddresses(f.Addresses) != nil
		out = append(out, f)
	}
	if r.failed {
		return nil
	}
	return out
}

// address reads one of that many bytes, with its port.
func (r *savedReader) address(size int) netip.AddrPort {
	if r.failed || len(r.data) < size+2 {
		r.failed = true
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(r.data[:size])
	port := binary.BigEndian.Uint16(r.data[size:])
	r.data = r.data[size+2:]
	return netip.AddrPortFrom(ip, port)
}

// committed reports whether the lists are those that the header commits to, in its order,
// with the one that has signed.
func (a *AnchorFile) committed() bool {
	roots := rootsInForce(a.Certificate.Header)
	for _, l := range a.Lists {
		root, err := l.Root()
		i := slices.Index(roots, root)
		if err != nil || i < 0 {
			return false
		}
		roots = roots[i+1:]
	}
	return a.signer() != nil
}

// Verify reports whether the anchor is of a network and its certificate holds.
// Errors: ErrAnchorNetwork, ErrAnchor.
func (a *AnchorFile) Verify(doc *genesis.Document, v vote.Verifier) error {
	if a.Certificate.Header.NetworkID != doc.NetworkID() {
		return ErrAnchorNetwork
	}
	if !a.committed() || a.Certificate.Verify(doc.NetworkID(), a.signer(), v) != nil {
		return ErrAnchor
	}
	return nil
}

// Age is how old the header is.
func (a *AnchorFile) Age(doc *genesis.Document, now time.Time) time.Duration {
	return now.Sub(doc.EpochStart(a.Epoch()))
}

// Old reports whether the anchor is so old that it should be replaced by a newer one
// before long (in a public network: six weeks), and Over whether it is older than the
// network lets anybody start from. Spec: directory §8 (COLD).
func (a *AnchorFile) Old(doc *genesis.Document, now time.Time) (old, over bool) {
	limit := doc.Params.AnchorAge
	if limit <= 0 {
		return false, false
	}
	age := a.Age(doc, now)
	return age > limit/anchorOldOf*anchorOldPart, age > limit
}

// anchored returns a Follower that goes on from the anchor, which was verified. Its
// snapshot is number 0 until it has fetched a table.
func (a *AnchorFile) anchored(doc *genesis.Document, v vote.Verifier) *Follower {
	f := NewFollower(doc, v)
	f.ground = a.Certificate
	f.at = &vote.Anchor{Epoch: a.Epoch(), Lists: slices.Clone(a.Lists)}
	return f
}

// Resume goes on from saved bytes, from an anchor or from the document: from the saved
// state for as long as it is neither too old nor forked, else from the anchor if that is
// newer; anchor may be nil, and saved empty. What was found against others is kept, but
// for a fork, which a newer anchor decides. With a Follower
// comes ErrSaved if there are saved bytes that cannot be used.
// Errors without one: the anchor's Verify. Spec: directory §8 (COLD).
func Resume(doc *genesis.Document, v vote.Verifier, saved []byte, anchor *AnchorFile, now time.Time) (*Follower, error) {
	f, damaged := NewFollower(doc, v), error(nil)
	if len(saved) > 0 {
		if held, err := LoadFollower(doc, v, saved); err == nil {
			f = held
		} else {
			damaged = err
		}
	}
	if anchor == nil {
		return f, damaged
	}
	if err := anchor.Verify(doc, v); err != nil {
		return nil, err
	}
	if anchor.Epoch() > f.at.Epoch && (f.cert == nil || f.TooOld(now) || f.fork != nil) {
		from := anchor.anchored(doc, v)
		from.split, from.illegal, from.evidence = f.split, f.illegal, f.evidence
		f = from
	}
	return f, damaged
}
