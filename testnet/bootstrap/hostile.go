// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
	"io"
	"slices"
	"time"

	"chive/directory/committee"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/internal/strictcbor"
)

// kind is what a hostile first peer does. Spec: testnet §3 (peers), §8 (attack-eclipse).
type kind string

// Kinds. mixed: each relay one of the others.
const (
	stale    kind = "stale"
	forged   kind = "forged"
	orphan   kind = "orphan"
	withheld kind = "withheld"
	clock    kind = "clock"
	mixed    kind = "mixed"
)

func allKinds() []kind { return []kind{stale, forged, orphan, withheld, clock} }

const retiredKeys = "a chain by retired keys"

// trick is one thing that a hostile relay does.
type trick struct {
	kind  kind
	name  string
	relay responder     // nil: it cannot be linked to
	off   time.Duration // what its link certificate makes the client's clock look like: ahead by so much
}

// lie answers as an honest server, apart from the answers to one code.
type lie struct {
	honest *honest
	code   dirsync.Code
	change func(q *dirsync.Request, a *dirsync.Answer)
	memory map[string][]byte
}

func (l *lie) answer(body []byte) ([]byte, error) {
	if out, known := l.memory[string(body)]; known {
		return out, nil
	}
	out, err := l.honest.answer(body)
	q, bad := dirsync.DecodeRequest(body)
	if err != nil || bad != nil || q.Code != l.code {
		return out, err
	}
	whole, err := dirsync.ReadAnswer(bytes.NewReader(out))
	if err != nil {
		return nil, err
	}
	a, err := dirsync.DecodeAnswer(bytes.Clone(whole), q)
	if err != nil {
		return nil, err
	}
	if a.Code == l.code {
		l.change(q, a)
	}
	again, err := a.Encode()
	if err != nil {
		return nil, err
	}
	out = frames(again)
	l.memory[string(body)] = out
	return out, nil
}

// frames frames an answer's body as servers do. Spec: protocol §7 (SYNC-1).
func frames(body []byte) []byte {
	const part = dirsync.MaxFrameSize - 16
	content, left := body[1:], max(0, len(body)-2)/part
	var out []byte
	for ; left >= 0; left-- {
		data := content[:min(part, len(content))]
		content = content[len(data):]
		b, err := strictcbor.Marshal(struct {
			_    struct{} `cbor:",toarray"`
			Code uint8
			Left uint8
			Data []byte
		}{Code: body[0], Left: uint8(left), Data: data})
		if err != nil {
			return nil // bytes always encode
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(b))), b...)
		out = append(out, make([]byte, (dirsync.PadSize-len(out)%dirsync.PadSize)%dirsync.PadSize)...)
	}
	return out
}

// always gives one answer, and then perhaps an error.
type always struct {
	frames []byte
	err    error
}

func (a *always) answer([]byte) ([]byte, error) { return a.frames, a.err }

// cut answers the first so many requests, and ends within the next answer.
type cut struct {
	relay responder
	code  dirsync.Code
}

func (c *cut) answer(body []byte) ([]byte, error) {
	out, err := c.relay.answer(body)
	if q, bad := dirsync.DecodeRequest(body); err != nil || bad != nil || q.Code != c.code {
		return out, err
	}
	return out[:len(out)/2], io.EOF
}

// stranger's key is nobody's.
func stranger(seed uint64) signer {
	return func(_ *transition.List, seat int) ed25519.PrivateKey {
		s := named(seed, "stranger", uint64(seat))
		return ed25519.NewKeyFromSeed(s[:])
	}
}

// tricks makes all that hostile relays do, by kind. at holds the servers of some epochs,
// the newest last.
func (w *eclipse) tricks(old []*dirsync.Server) error {
	w.does = map[kind][]trick{}
	add := func(k kind, name string, r responder) {
		w.does[k] = append(w.does[k], trick{kind: k, name: name, relay: r})
	}
	told := func(code dirsync.Code, change func(q *dirsync.Request, a *dirsync.Answer)) responder {
		return &lie{w.good, code, change, map[string][]byte{}}
	}
	sync := func(change func(q *dirsync.Request, a *dirsync.Answer)) responder {
		return told(dirsync.CodeSync, change)
	}

	for _, s := range old {
		add(stale, "an old table", newHonest(s, w.now))
	}
	add(stale, "nothing new", sync(func(q *dirsync.Request, a *dirsync.Answer) {
		*a = dirsync.Answer{Code: dirsync.CodeSync, Working: dirsync.WorkingZero}
		if q.HeaderDigest != nil {
			a.Working = dirsync.WorkingNamed
		}
	}))

	own, short, err := w.ownTables()
	if err != nil {
		return err
	}
	add(forged, "a table of its own, signed by strangers", newHonest(own, w.now))
	add(forged, "a table of its own, one signature short", newHonest(short, w.now))
	recode := func(change func(c *vote.Certificate) *vote.Certificate) responder {
		return sync(func(_ *dirsync.Request, a *dirsync.Answer) {
			if c, err := vote.DecodeCertificate(a.Certificate); err == nil {
				a.Certificate = change(c).Encode()
			}
		})
	}
	add(forged, "a false signature", recode(func(c *vote.Certificate) *vote.Certificate {
		c.Signatures[len(c.Signatures)-1][9] ^= 1
		return c
	}))
	add(forged, "too few signatures", recode(func(c *vote.Certificate) *vote.Certificate { return c.Trim(len(c.Signatures) - 1) }))
	header := func(change func(h *snapshot.Header)) responder {
		return recode(func(c *vote.Certificate) *vote.Certificate {
			h := *c.Header
			change(&h)
			if out, err := vote.NewCertificate(&h, c.Signers, c.Signatures); err == nil {
				return out
			}
			return c
		})
	}
	add(forged, "another network", header(func(h *snapshot.Header) { h.NetworkID[0] ^= 1 }))
	add(forged, "another root", header(func(h *snapshot.Header) { h.DirRoot[0] ^= 1 }))
	add(forged, "another epoch", header(func(h *snapshot.Header) { h.Epoch++ }))
	add(forged, "a snapshot to come", header(func(h *snapshot.Header) { h.Epoch += 1000 }))
	add(forged, "an old certificate made new", sync(func(_ *dirsync.Request, a *dirsync.Answer) {
		if c, err := vote.DecodeCertificate(w.oldest); err == nil {
			h := *c.Header
			h.Epoch = w.doc.EpochAt(w.now) - 1
			if c, err = vote.NewCertificate(&h, c.Signers, c.Signatures); err == nil {
				a.Certificate = c.Encode()
			}
		}
	}))
	add(forged, "a spoilt table", sync(spoil))
	add(forged, "another table", sync(func(_ *dirsync.Request, a *dirsync.Answer) { w.swap(a, own) }))
	add(forged, "a list of its own", sync(w.ownList))

	sibling, err := w.sibling()
	if err != nil {
		return err
	}
	add(orphan, "a withheld snapshot", newHonest(sibling, w.now))
	retired, err := w.retired()
	if err != nil {
		return err
	}
	add(orphan, retiredKeys, newHonest(retired, w.now))

	add(withheld, "no link", nil)
	add(withheld, "silence", &always{nil, errSilent})
	add(withheld, "busy", &always{dirsync.Busy(), nil})
	add(withheld, "garbage", &always{bytes.Repeat([]byte{0xff}, dirsync.PadSize), nil})
	add(withheld, "half an answer", &cut{w.good, dirsync.CodeSync})
	add(withheld, "no steps", sync(func(_ *dirsync.Request, a *dirsync.Answer) { a.Steps = nil }))
	add(withheld, "no tiles", &cut{sync(func(_ *dirsync.Request, a *dirsync.Answer) {
		if len(a.Tiles) > 0 || len(a.Diff) > 0 {
			a.Diff, a.Tiles, a.Dict, a.TileRoots = nil, nil, nil, w.good.server.Working(w.now).Table().TileRoots()
		}
	}), dirsync.CodeTile})
	refusal, err := (&dirsync.Answer{Code: dirsync.CodeRefused, Refusal: dirsync.RefusedAbsent}).Encode()
	if err != nil {
		return err
	}
	add(withheld, "no proof", &without{w.good, dirsync.CodeProof, frames(refusal)})

	// Their link certificates are of another time, and no link comes about.
	add(clock, "a clock that is slow", nil)
	add(clock, "a clock that is fast", nil)
	w.does[clock][0].off, w.does[clock][1].off = -2*w.doc.Params.ClockClient, 2*w.doc.Params.ClockClient
	return nil
}

// without answers as a relay does, apart from one code, which it refuses.
type without struct {
	relay   responder
	code    dirsync.Code
	refusal []byte
}

func (w *without) answer(body []byte) ([]byte, error) {
	if q, err := dirsync.DecodeRequest(body); err == nil && q.Code == w.code {
		return w.refusal, nil
	}
	return w.relay.answer(body)
}

// spoil changes a byte of whatever the table travels in.
func spoil(_ *dirsync.Request, a *dirsync.Answer) {
	switch {
	case len(a.Diff) > 0:
		a.Diff[len(a.Diff)/2] ^= 1
	case len(a.Tiles) > 0:
		a.Tiles[0][len(a.Tiles[0])/2] ^= 1
	default:
		a.Certificate = a.Certificate[:len(a.Certificate)-1]
	}
}

// swap puts the table of another server under the certificate.
func (w *eclipse) swap(a *dirsync.Answer, s *dirsync.Server) {
	t := s.Working(w.now).Table()
	a.Diff, a.TileRoots, a.Tiles = nil, t.TileRoots(), nil
	for n := range a.TileRoots {
		a.Tiles = append(a.Tiles, append([]byte{0}, t.Tile(n)...)) // raw
	}
}

// ownList puts strangers' keys into the list of a step, or spoils the certificate where
// there is none.
func (w *eclipse) ownList(_ *dirsync.Request, a *dirsync.Answer) {
	for i, data := range a.Steps {
		s, err := vote.DecodeStep(data)
		if err != nil {
			continue
		}
		l := *s.List
		l.Keys = slices.Clone(l.Keys)
		for seat := range l.Keys {
			l.Keys[seat] = public(stranger(w.seed)(nil, seat))
		}
		a.Steps[i] = (&vote.Step{Certificate: s.Certificate, List: &l}).Encode()
	}
	if len(a.Steps) == 0 {
		a.Certificate[len(a.Certificate)-9] ^= 1
	}
}

// ownTables makes two servers whose newest tables lack relays that the adversary does
// not like: signed by strangers' keys, and by a quorum less one.
func (w *eclipse) ownTables() (own, short *dirsync.Server, err error) {
	var ops []transition.Op
	for i := range 9 {
		ops = append(ops, transition.Op{Code: transition.Drop, Index: uint32(7 * i), Reason: transition.DropRevoked})
	}
	quorum := func(l *transition.List) int { return committee.Quorum(len(l.Seats)) }
	traitors := func(l *transition.List, seat int) ed25519.PrivateKey {
		if seat < quorum(l)-1 {
			return w.signer(l, seat)
		}
		return stranger(w.seed)(l, seat)
	}
	build := func(s signer) (*dirsync.Server, error) {
		first, err := w.agree(w.parent, w.newest-1, ops, nil, s)
		if err != nil {
			return nil, err
		}
		second, err := w.agree(first.State, w.newest, nil, nil, s)
		return w.parentServer.With(first).With(second), err
	}
	if own, err = build(stranger(w.seed)); err != nil {
		return nil, nil, err
	}
	short, err = build(traitors)
	return own, short, err
}

// sibling makes a server of the snapshot that a quorum signed, that was withheld, and
// that nobody built on. Its child is made up, so that a server gives it.
func (w *eclipse) sibling() (*dirsync.Server, error) {
	w.siblings = map[[32]byte]bool{w.lost.State.Digest(): true}
	child, err := w.agree(w.lost.State, w.newest, nil, nil, stranger(w.seed))
	return w.parentServer.With(w.lost).With(child), err
}

// retired makes a server of a chain that leaves the network's in the first term, signed
// with the true keys of all its lists: those whose terms are over were kept and stolen.
func (w *eclipse) retired() (*dirsync.Server, error) {
	fork := *w.chain
	fork.honest = map[[32]byte]uint64{}
	fork.now, fork.steps, fork.server = w.early.now, w.early.steps, w.early.server
	for e := w.early.epoch + 1; ; e = min(e+12, w.newest-1) {
		f, err := fork.agree(fork.now, e, nil, nil, fork.signer)
		if err != nil {
			return nil, err
		}
		fork.take(f)
		if e == w.newest-1 {
			break
		}
	}
	f, err := fork.agree(fork.now, w.newest, nil, nil, fork.signer)
	if err != nil {
		return nil, err
	}
	fork.take(f)
	return fork.server, nil
}
