// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/directory/vrf"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func seedOf(purpose string, n int) [32]byte { return sha256.Sum256(fmt.Append(nil, purpose, " ", n)) }

// Keys cost more than what is tested; each is made once.
var (
	signingKey = remembered(func(purpose string, n int) ed25519.PrivateKey {
		s := seedOf(purpose, n)
		return ed25519.NewKeyFromSeed(s[:])
	})
	onionOf = remembered(func(version string, n int) [32]byte {
		s := seedOf("onion "+version, n)
		k, err := ecdh.X25519().NewPrivateKey(s[:])
		if err != nil {
			panic(err)
		}
		return [32]byte(k.PublicKey().Bytes())
	})
)

func remembered[T any](make func(purpose string, n int) T) func(purpose string, n int) T {
	type name struct {
		purpose string
		n       int
	}
	known := map[name]T{}
	return func(purpose string, n int) T {
		k, found := known[name{purpose, n}]
		if !found {
			k = make(purpose, n)
			known[name{purpose, n}] = k
		}
		return k
	}
}

func public(key ed25519.PrivateKey) [32]byte { return [32]byte(key.Public().(ed25519.PublicKey)) }

func addressOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + n%80), byte(n / 80 % 40), byte(n / 3200), 5}), 9240)
}

// lab is a network whose members agree: it makes final snapshots with real
// certificates.
type lab struct {
	t     testing.TB
	doc   *genesis.Document
	keys  map[[32]byte]ed25519.PrivateKey // committee keys
	cat   map[[16]byte]*record.Descriptor
	proof [vrf.ProofSize]byte
	out   [vrf.OutputSize]byte

	now     *transition.State
	steps   []*vote.Step
	finals  []Final // without snapshot 0
	next    uint64
	version int
}

func newLab(t testing.TB, founders int, p genesis.Params) *lab {
	t.Helper()
	l := &lab{t: t, keys: map[[32]byte]ed25519.PrivateKey{}, cat: map[[16]byte]*record.Descriptor{}, next: 1}
	var all []*record.Founder
	vrfSeed := seedOf("vrf", 0)
	secret := vrf.NewSecretKey(&vrfSeed)
	for n := range founders {
		identity := public(signingKey("identity", n))
		shared := n % 200 // keys that nothing here tells apart, for speed
		all = append(all, &record.Founder{
			Identity: identity[:], Onion: onionOf("0", n), VRF: secret.Public(), Committee: [2][32]byte{l.key(0, shared), l.key(1, shared)},
			Addresses: []netip.AddrPort{addressOf(n)}, DeclaredRate: 10000, Roles: record.RoleGuard,
		})
		if h := number(n); founders > 1000 { // so that tiles do not become small
			six := netip.AddrFrom16([16]byte(append([]byte{0x26, 0x06}, h[:14]...)))
			all[n].Addresses = append(all[n].Addresses, netip.AddrPortFrom(six, 9240))
		}
	}
	doc, err := genesis.Plan{Name: "lab", Testnet: true, Params: &p, Founders: all, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}.Document()
	if err != nil {
		t.Fatal(err)
	}
	l.doc, l.now, l.proof = doc, transition.Genesis(doc), secret.Prove([]byte("proposer"))
	if l.out, err = vrf.ProofToHash(l.proof); err != nil {
		t.Fatal(err)
	}
	return l
}

// key makes the committee key of a relay for a term.
func (l *lab) key(term uint64, n int) [32]byte {
	k := signingKey(fmt.Sprint("committee ", term), n)
	l.keys[public(k)] = k
	return public(k)
}

// fork returns a lab that goes on from here by itself.
func (l *lab) fork() *lab {
	f := *l
	f.steps, f.finals = slices.Clip(slices.Clone(l.steps)), slices.Clip(slices.Clone(l.finals))
	return &f
}

// renew is an op with a new descriptor of a founder: a new onion key, and committee keys
// for this and the next two terms.
func (l *lab) renew(n int) transition.Op {
	l.t.Helper()
	l.version++
	identity := public(signingKey("identity", n))
	rid := record.NewRID(l.doc.NetworkID(), identity[:])
	i, found := l.now.Snapshot().Table().Index(rid)
	if !found {
		l.t.Fatalf("relay %d is not in the table", n)
	}
	d := &record.Descriptor{
		Identity: identity[:], Seq: uint64(l.version), Published: l.doc.EpochStart(l.next), Expires: l.doc.EpochStart(l.next).Add(time.Minute),
		Onion: onionOf(fmt.Sprint(l.version%7), n), NextOnion: onionOf(fmt.Sprint(l.version%7+1), n), VRF: l.now.Aux(i).VRF, DeclaredRate: 10000, Roles: record.RoleGuard,
		Addresses: []netip.AddrPort{addressOf(n)},
	}
	for term := l.next / uint64(l.doc.Params.Term); len(d.Committee) < record.MaxCommitteeKeyCount; term++ {
		key := l.key(term, n)
		d.Committee = append(d.Committee, record.CommitteeKey{Term: term, Key: key[:]})
	}
	body, err := transition.Body(d)
	if err != nil {
		l.t.Fatal(err)
	}
	l.cat[[16]byte(body[:16])] = d
	return transition.Op{Code: transition.Update, Index: uint32(i), Body: [16]byte(body[:16])}
}

// renewAll renews so many founders.
func (l *lab) renewAll(count int) (ops []transition.Op) {
	for n := range count {
		ops = append(ops, l.renew(n))
	}
	slices.SortFunc(ops, transition.Op.Compare)
	return ops
}

// grow makes the snapshot of the next epoch, of ops that all seats want.
func (l *lab) grow(ops ...transition.Op) Final {
	l.t.Helper()
	list := l.now.Owner(l.doc.Params, l.next)
	in := transition.Input{
		Epoch: l.next, Proof: l.proof, Output: l.out, VotesDigest: sha256.Sum256(transition.AppendOps(nil, ops)),
		Descriptor: func(_ record.RID, body [16]byte) *record.Descriptor { return l.cat[body] },
	}
	for seat := range list.Seats {
		in.Votes = append(in.Votes, transition.Vote{Seat: seat, Ops: ops})
	}
	child, err := transition.Next(l.doc, l.now, in)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.final(child, list)
}

// final has a state signed by a quorum, and takes it.
func (l *lab) final(child *transition.State, list *transition.List) Final {
	l.t.Helper()
	cert := l.sign(child, list, 0)
	lists := child.Lists()
	for _, x := range []*transition.List{lists[0], lists[1], lists[2], lists[3]} {
		known := func(s *vote.Step) bool { return x != nil && s.List.Committee == x.Name && s.List.Term >= x.Term }
		if x == nil || x.Term == 0 || slices.ContainsFunc(l.steps, known) {
			continue
		}
		s, err := vote.NewStep(cert, len(list.Seats), x.ForClients())
		if err != nil {
			l.t.Fatal(err)
		}
		l.steps = append(l.steps, s)
	}
	f := Final{State: child, Certificate: cert, Steps: slices.Clone(l.steps)}
	l.now, l.finals, l.next = child, append(l.finals, f), child.Epoch()+1
	return f
}

// sign makes the certificate of a state, by a quorum of a list from a seat on.
func (l *lab) sign(s *transition.State, list *transition.List, from int) *vote.Certificate {
	l.t.Helper()
	k := len(list.Seats)
	quorum := committee.Quorum(k)
	from = min(from, k-quorum)
	signers := vote.NewSeats(k)
	var signatures [][record.SignatureSize]byte
	for seat := from; seat < from+quorum; seat++ {
		g, err := vote.NewSignature(l.doc.NetworkID(), l.keys[list.Seats[seat].Key], s.Epoch(), s.Digest(), seat)
		if err != nil {
			l.t.Fatal(err)
		}
		signers.Add(seat)
		signatures = append(signatures, g.Bytes())
	}
	c, err := vote.NewCertificate(s.Snapshot().Header(), signers, signatures)
	if err != nil {
		l.t.Fatal(err)
	}
	return c
}

// server returns one that was given all finals.
func (l *lab) server() *Server {
	s := NewServer(l.doc)
	for _, f := range l.finals {
		s = s.With(f)
	}
	return s
}

// at is the middle of an epoch.
func (l *lab) at(epoch uint64) time.Time {
	return l.doc.EpochStart(epoch).Add(l.doc.Params.EpochLen / 2)
}

// clock stands where the newest snapshot is the latest one.
func (l *lab) clock() time.Time { return l.at(l.next - 1) }

func (l *lab) follower() *Follower { return NewFollower(l.doc, vote.Plain{}) }

// source is a directory stream to a relay, without time: what is written is answered at
// once.
type source struct {
	answer  func(request []byte) []byte
	out     bytes.Buffer
	sent    int // bytes
	got     int
	asked   []Code
	closeIn int // answers until the stream ends; 0: never
}

func (s *source) Write(p []byte) (int, error) {
	body, err := ReadRequest(bytes.NewReader(p))
	if err != nil {
		return 0, err
	}
	q, err := DecodeRequest(body)
	if err != nil {
		return 0, err
	}
	s.asked = append(s.asked, q.Code)
	s.sent += len(p)
	if s.closeIn > 0 && len(s.asked) >= s.closeIn {
		return len(p), nil
	}
	s.out.Write(s.answer(body))
	return len(p), nil
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.out.Read(p)
	s.got += n
	return n, err
}

// of makes a stream to a server at a time.
func of(s *Server, now time.Time) *source {
	return &source{answer: func(body []byte) []byte {
		out, _ := s.Answer(now, body)
		return out
	}}
}

// lying makes a stream whose answers to one code are changed.
func lying(s *Server, now time.Time, code Code, change func(q *Request, a *Answer)) *source {
	return &source{answer: func(body []byte) []byte {
		out, _ := s.Answer(now, body)
		q, err := DecodeRequest(body)
		if err != nil || q.Code != code {
			return out
		}
		whole, err := ReadAnswer(bytes.NewReader(out))
		if err != nil {
			panic(err)
		}
		a, err := DecodeAnswer(bytes.Clone(whole), q)
		if err != nil {
			panic(err)
		}
		change(q, a)
		again, err := a.Encode()
		if err != nil {
			panic(err)
		}
		return frames(again)
	}}
}

var _ io.ReadWriter = (*source)(nil)

// fetch runs one Fetch at the lab's clock.
func (l *lab) fetch(f *Follower, from io.ReadWriter) (Result, error) {
	return f.Fetch(from, func() time.Time { return l.clock() }, nil)
}

func mustEncode(t testing.TB, v interface{ Encode() ([]byte, error) }) []byte {
	t.Helper()
	b, err := v.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// golden compares lines of name and bytes with a file of testdata/vectors.
func golden(t *testing.T, file, head string, lines [][2]string) {
	t.Helper()
	var b strings.Builder
	for line := range strings.Lines(head) {
		b.WriteString("# " + line)
	}
	for _, l := range lines {
		fmt.Fprintf(&b, "%s = %s\n", l[0], l[1])
	}
	path := filepath.Join("testdata", "vectors", file)
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != b.String() {
		t.Errorf("%s: the bytes changed, and with them the protocol", file)
	}
}

// number returns bytes that differ by n.
func number(n int) [32]byte { return sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(n))) }

// clockAt stands in the middle of an epoch.
func (l *lab) clockAt(epoch uint64) func() time.Time {
	return func() time.Time { return l.at(epoch) }
}
