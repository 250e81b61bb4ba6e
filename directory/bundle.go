// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"encoding/binary"
	"errors"
	"slices"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/transition"
	"chive/directory/vote"
)

// errBundle means bytes that are not a state with what leads to it.
var errBundle = errors.New("directory: not a state with its certificate")

// bundle is a final state with all that another relay needs to go on from it: its
// certificate, the headers of its latest ancestors, in which the day beacons are, and
// the hand-over. It is what STATE asks for and what is stored:
//
//	size 4 | certificate (empty: snapshot 0)
//	count 4 | count x (size 4 | header), newest first
//	count 4 | count x (size 4 | hand-over step), oldest first
//	state, as package transition stores it
//
// It is immutable. Spec: directory §4 (STATE), §10, protocol §7 (GOS-9).
type bundle struct {
	state       *transition.State
	certificate *vote.Certificate  // nil: snapshot 0
	chain       []*snapshot.Header // ancestors without a gap, newest first
	steps       []*vote.Step
}

// maxChain bounds the ancestors in a bundle: those of two days, where newcomers bring
// work those of all the days for which it is good, and one before.
func maxChain(p genesis.Params) int {
	days := 2
	if sybil.Needed(p) {
		days = sybil.SaltDays
	}
	return days*max(p.Day, 1) + 2
}

func (b *bundle) encode() []byte { return b.encodeWith(b.state.Encode()) }

// encodeWith returns the bundle's bytes, given those of its state.
func (b *bundle) encodeWith(state []byte) []byte {
	var cert []byte
	if b.certificate != nil {
		cert = b.certificate.Encode()
	}
	out := appendPiece(nil, cert)
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.chain)))
	for _, h := range b.chain {
		out = appendPiece(out, h.Encode())
	}
	out = binary.BigEndian.AppendUint32(out, uint32(len(b.steps)))
	for _, s := range b.steps {
		out = appendPiece(out, s.Encode())
	}
	return append(out, state...)
}

// decodeBundle reads what encode wrote. The parts fit each other; whether the
// certificate holds is not looked at. Error: errBundle.
func decodeBundle(doc *genesis.Document, data []byte) (*bundle, error) {
	b := &bundle{}
	cert, data, ok := cutPiece(data, vote.MaxCertificateSize)
	if !ok {
		return nil, errBundle
	}
	chain, data, ok := cutPieces(data, maxChain(doc.Params), snapshot.MaxHeaderSize)
	if !ok {
		return nil, errBundle
	}
	steps, data, ok := cutPieces(data, vote.MaxStepCount, vote.MaxStepSize)
	if !ok {
		return nil, errBundle
	}
	var err error
	if b.state, err = transition.Decode(doc, data); err != nil {
		return nil, errBundle
	}
	if len(cert) > 0 {
		if b.certificate, err = vote.DecodeCertificate(cert); err != nil {
			return nil, errBundle
		}
	}
	if !b.fits(doc) {
		return nil, errBundle
	}
	parent := b.state.Snapshot().Header().Parent
	for _, raw := range chain {
		h, err := snapshot.DecodeHeader(raw)
		if err != nil || h.Digest() != parent {
			return nil, errBundle
		}
		b.chain, parent = append(b.chain, h), h.Parent
	}
	for _, raw := range steps {
		s, err := vote.DecodeStep(raw)
		if err != nil {
			return nil, errBundle
		}
		b.steps = append(b.steps, s)
	}
	return b, nil
}

// fits reports whether the certificate is the state's: snapshot 0 has none.
func (b *bundle) fits(doc *genesis.Document) bool {
	if b.certificate == nil {
		return b.state.Digest() == transition.Genesis(doc).Digest()
	}
	return b.certificate.HeaderDigest() == b.state.Digest()
}

// appendPiece appends data behind its size.
func appendPiece(out, data []byte) []byte {
	return append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
}

// cutPiece cuts a sized piece of at most so many bytes off the start of data.
func cutPiece(data []byte, most int) (piece, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(data)
	if uint64(n) > uint64(most) || uint64(n) > uint64(len(data)-4) {
		return nil, nil, false
	}
	return data[4 : 4+n : 4+n], data[4+n:], true
}

// cutPieces cuts a counted list of pieces off the start of data.
func cutPieces(data []byte, count, most int) (pieces [][]byte, rest []byte, ok bool) {
	if len(data) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(data)
	if uint64(n) > uint64(count) {
		return nil, nil, false
	}
	for data = data[4:]; n > 0; n-- {
		var p []byte
		if p, data, ok = cutPiece(data, most); !ok {
			return nil, nil, false
		}
		pieces = append(pieces, p)
	}
	return pieces, data, true
}

// child returns the bundle of a state that follows this one, or of one that stands
// in its place. ok is false when it does neither.
func (b *bundle) child(doc *genesis.Document, s *transition.State, c *vote.Certificate) (*bundle, bool) {
	h := s.Snapshot().Header()
	out := &bundle{state: s, certificate: c, chain: b.chain, steps: b.steps}
	switch h.Parent {
	case b.state.Digest():
		out.chain = append([]*snapshot.Header{b.state.Snapshot().Header()}, b.chain...)
	case b.state.Snapshot().Header().Parent:
		out.steps = before(b.steps, min(h.Epoch, b.state.Epoch())) // what ours has drawn is void, whichever is later
	default:
		return nil, false
	}
	out.cut(doc.Params)
	out.handOver(doc.Params, b.state)
	return out, true
}

// dayBeacons is the epoch of the oldest beacon that neighbours are drawn by: that of the
// day before.
func (b *bundle) dayBeacons(p genesis.Params) uint64 {
	return sybil.LotteryEpoch(p, dayBefore(p, b.state.Epoch()))
}

// cut keeps the ancestors back to the oldest day beacon, and to the oldest one that a
// newcomer's work may be salted with: all judge it alike, who has come yesterday too.
// Spec: protocol §7 (GOS-9, ADM-2).
func (b *bundle) cut(p genesis.Params) {
	first := b.dayBeacons(p)
	if sybil.Needed(p) {
		epoch := b.state.Epoch()
		first = min(first, epoch-min(epoch, sybil.SaltDays*uint64(max(p.Day, 1))))
	}
	for i, h := range b.chain {
		if h.Epoch <= first || i+1 == maxChain(p) {
			b.chain = b.chain[: i+1 : i+1]
			return
		}
	}
}

// dayBefore returns an epoch of the day before an epoch's.
func dayBefore(p genesis.Params, epoch uint64) uint64 {
	return epoch - min(epoch, uint64(max(p.Day, 1)))
}

// handOver adds a step for each list that the state has drawn: its certificate is
// signed by lists that are known.
func (b *bundle) handOver(p genesis.Params, parent *transition.State) {
	if b.certificate == nil {
		return
	}
	lists := b.state.Lists()
	if transition.OwnerName(b.state.Epoch()) == committee.A {
		lists[0], lists[1], lists[2], lists[3] = lists[2], lists[3], lists[0], lists[1] // the signers' own comes last
	}
	for _, l := range lists {
		if l == nil || l.Term == 0 || knowsStep(b.steps, l) { // those of term 0 follow from the document

			continue
		}
		signers := parent.Owner(p, b.state.Epoch())
		if signers == nil {
			continue
		}
		if s, err := vote.NewStep(b.certificate, len(signers.Seats), l.ForClients()); err == nil {
			b.steps = append(b.steps[:len(b.steps):len(b.steps)], s)
		}
	}
	b.steps = b.steps[max(0, len(b.steps)-vote.MaxStepCount):]
}

func knowsStep(steps []*vote.Step, l *transition.List) bool {
	for _, s := range steps {
		if s.List.Committee == l.Name && s.List.Term >= l.Term {
			return true
		}
	}
	return false
}

// before returns the steps that were made before an epoch.
func before(steps []*vote.Step, epoch uint64) []*vote.Step {
	var out []*vote.Step
	for _, s := range steps {
		if s.Certificate.Header.Epoch < epoch {
			out = append(out, s)
		}
	}
	return out
}

// beacon returns the beacon of the newest final snapshot that is not after an epoch,
// as far back as the chain reaches.
func (b *bundle) beacon(epoch uint64) [32]byte {
	h := b.state.Snapshot().Header()
	for i := 0; h.Epoch > epoch && i < len(b.chain); i++ {
		h = b.chain[i]
	}
	return h.Beacon
}

// follows reports whether the bundle can descend from a state, or stand in place of
// it, as far as its ancestors show.
func (b *bundle) follows(s *transition.State) bool {
	h := b.state.Snapshot().Header()
	ours := s.Snapshot().Header()
	if h.Parent == s.Digest() || h.Parent == ours.Parent {
		return true
	}
	for _, a := range b.chain {
		if a.Parent == s.Digest() || a.Parent == ours.Parent && a.HistorySize == ours.HistorySize {
			return true
		}
		if a.HistorySize <= ours.HistorySize {
			return false
		}
	}
	return true // ours is older than what the ancestors show
}

// over returns the bundle with the ancestors that an older one shows beyond its own, if
// those meet: what was known stays known, whoever sent the newer state.
func (b *bundle) over(p genesis.Params, older *bundle) *bundle {
	end := b.state.Snapshot().Header()
	if n := len(b.chain); n > 0 {
		end = b.chain[n-1]
	}
	for i, h := range append([]*snapshot.Header{older.state.Snapshot().Header()}, older.chain...) {
		if h.HistorySize+1 == end.HistorySize && h.Digest() == end.Parent {
			out := *b
			out.chain = slices.Clone(b.chain)
			if i == 0 {
				out.chain = append(out.chain, h)
			}
			out.chain = append(out.chain, older.chain[max(i-1, 0):]...)
			out.cut(p)
			return &out
		}
	}
	return b
}

// verify follows the hand-over from what is believed to the certificate, and looks
// whether the day beacons are there. Errors: errBundle, vote's.
func (b *bundle) verify(doc *genesis.Document, from *vote.Anchor, v vote.Verifier) error {
	if b.certificate == nil {
		return errBundle
	}
	last := b.state.Snapshot().Header()
	if n := len(b.chain); n > 0 {
		last = b.chain[n-1]
	}
	if last.HistorySize > 0 && last.Epoch > b.dayBeacons(doc.Params) {
		return errBundle
	}
	var steps []*vote.Step
	for _, s := range b.steps {
		// What was signed before retired keys may have signed, and later steps may lead on without.
		// What the state itself has drawn did not sign it, even where its term has begun: after a standstill.
		if !believes(from, s.List) && s.Certificate.Header.Epoch >= from.Epoch && s.Certificate.HeaderDigest() != b.state.Digest() {
			steps = append(steps, s)
		}
	}
	_, err := from.Follow(doc.Params, doc.NetworkID(), steps, b.certificate, v)
	return err
}

// committed returns the lists that a header commits to which is believed, as the bundle or known
// have them: what steps with that header's certificate would bring. ok is false where neither has
// one that follows another: without it the one before, whose keys are retired, would be in force.
func (b *bundle) committed(h *snapshot.Header, known []*committee.List) (anchor *vote.Anchor, ok bool) {
	for _, s := range b.steps {
		known = append(known, s.List)
	}
	known = append(known, anchorOf(b.state).Lists...)
	out := &vote.Anchor{Epoch: h.Epoch}
	roots := [][32]byte{h.ListA, h.NextA, h.ListB, h.NextB}
	if b.state.Digest() == h.Digest() {
		// It may have drawn, after a standstill, a list whose term has begun, and was signed by the one before.
		roots = [][32]byte{h.ListA, h.ListB}
	}
	for _, want := range roots {
		i := slices.IndexFunc(known, func(l *committee.List) bool { root, err := l.Root(); return err == nil && root == want })
		switch {
		case i >= 0:
			out.Lists = append(out.Lists, known[i])
		case want != [32]byte{} && (want == h.NextA || want == h.NextB):
			return nil, false
		}
	}
	return out, true
}

// believes reports whether a list is known, or one of a later term of its committee.
func believes(a *vote.Anchor, l *committee.List) bool {
	for _, o := range a.Lists {
		if o.Committee == l.Committee && o.Term >= l.Term {
			return true
		}
	}
	return false
}
