// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
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
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vrf"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

func seed(purpose string, n int) [32]byte { return sha256.Sum256(fmt.Append(nil, purpose, n)) }

// Keys cost more than what is tested; each is made once.
var (
	signingKey = remembered(func(purpose string, n int) ed25519.PrivateKey {
		s := seed(purpose, n)
		return ed25519.NewKeyFromSeed(s[:])
	})
	vrfOf = remembered(func(purpose string, n int) *vrf.SecretKey {
		s := seed(purpose, n)
		return vrf.NewSecretKey(&s)
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

func committeeKey(term uint64, n int) ed25519.PrivateKey {
	return signingKey(fmt.Sprint("committee ", term), n)
}

func vrfKey(n int) *vrf.SecretKey { return vrfOf("vrf", n) }

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// document has so many founders.
func document(t testing.TB, founders int, p genesis.Params) *genesis.Document {
	t.Helper()
	var all []*record.Founder
	for n := range founders {
		identity := public(signingKey("identity", n))
		s := seed("onion", n)
		onion, err := ecdh.X25519().NewPrivateKey(s[:])
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, &record.Founder{
			Identity: identity[:], Onion: [32]byte(onion.PublicKey().Bytes()), VRF: vrfKey(n).Public(),
			Committee:    [2][32]byte{public(committeeKey(0, n)), public(committeeKey(1, n))},
			Addresses:    []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(n >> 8), byte(n), 5}), 9240)},
			DeclaredRate: 10000, Roles: record.RoleGuard,
		})
	}
	d, err := genesis.Plan{Name: "example", Testnet: true, Params: &p, Founders: all, Time: start()}.Document()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func ridOf(doc *genesis.Document, n int) record.RID {
	identity := public(signingKey("identity", n))
	return record.NewRID(doc.NetworkID(), identity[:])
}

// world is a transition that is only as much as the machine can tell: ops are of 4
// bytes, those with enough votes are applied, and lists of all founders follow one
// another, in another order each term.
type world struct {
	doc     *genesis.Document
	k       int
	rosters map[[2]uint64]*Roster
	lacking func(seats []Ballot) []Want // nil: no descriptor is missing
}

func newWorld(t testing.TB, k int, p genesis.Params) *world {
	return &world{doc: document(t, k, p), k: k, rosters: map[[2]uint64]*Roster{}}
}

func (w *world) roster(c committee.Name, term uint64) *Roster {
	at := [2]uint64{uint64(c), term}
	if r := w.rosters[at]; r != nil {
		return r
	}
	seats := make([]committee.Seat, w.k)
	for i := range seats {
		n := (i + int(term) + int(c)) % w.k
		seats[i] = committee.Seat{RID: ridOf(w.doc, n), VRF: vrfKey(n).Public(), Key: public(committeeKey(term, n))}
	}
	r, err := NewRoster(c, term, seats)
	if err != nil {
		panic(err)
	}
	w.rosters[at] = r
	return r
}

type fakeState struct {
	w       *world
	h       *snapshot.Header
	digest  [32]byte
	rosters [4]*Roster
	applied [][4]byte
	parent  *fakeState
	ignored map[record.RID]bool
}

func (s *fakeState) Header() *snapshot.Header          { return s.h }
func (s *fakeState) Digest() [32]byte                  { return s.digest }
func (s *fakeState) Rosters() [4]*Roster               { return s.rosters }
func (s *fakeState) Ignored(seat *committee.Seat) bool { return s.ignored[seat.RID] }

func (s *fakeState) Owner(epoch uint64) *Roster {
	c := transition.OwnerName(epoch)
	i := 0
	if c == committee.B {
		i = 2
	}
	if next := s.rosters[i+1]; next != nil && epoch >= transition.TermStart(s.w.doc.Params, c, next.List.Term) {
		return next
	}
	return s.rosters[i]
}

func (s *fakeState) seal() *fakeState {
	roots := [4]*[32]byte{&s.h.ListA, &s.h.NextA, &s.h.ListB, &s.h.NextB}
	for i, r := range s.rosters {
		*roots[i] = [32]byte{}
		if r != nil {
			*roots[i] = r.Root
		}
	}
	s.digest = s.h.Digest()
	return s
}

func (w *world) genesis() *fakeState {
	nid := w.doc.NetworkID()
	return (&fakeState{
		w: w, rosters: [4]*Roster{w.roster(committee.A, 0), nil, w.roster(committee.B, 0), nil},
		h: &snapshot.Header{
			Version: snapshot.HeaderVersion, NetworkID: nid, LeafCount: uint64(w.k), ParamsDigest: w.doc.ParamsDigest(),
			Beacon: record.Hash("beacon0", nid[:]),
		},
	}).seal()
}

func (w *world) Propose(parent State, _ uint64, view View) []byte {
	if view == nil {
		return nil
	}
	return view.([]byte)
}

func (w *world) Next(parent State, in *Input) (State, error) {
	p := parent.(*fakeState)
	k := len(p.Owner(in.Epoch).Seats)
	if len(in.Ballots) < committee.Quorum(k) || in.Epoch <= p.h.Epoch {
		return nil, ErrVote
	}
	if w.lacking != nil {
		if wants := w.lacking(in.Ballots); len(wants) > 0 {
			return nil, &MissingError{Wants: wants}
		}
	}
	applied := tally(in.Ballots, committee.Matching(k))
	h := *p.h
	h.Epoch, h.Parent, h.HistorySize = in.Epoch, p.digest, p.h.HistorySize+1
	h.HistoryRoot = record.Hash("history", p.h.HistoryRoot[:], p.digest[:])
	sum := sha256.New()
	sum.Write(p.h.AuxRoot[:])
	for _, o := range applied {
		sum.Write(o[:])
	}
	h.AuxRoot = [32]byte(sum.Sum(nil))
	h.Beacon = record.Hash("beacon", p.h.Beacon[:], binary.BigEndian.AppendUint64(nil, in.Epoch), in.Output[:])
	h.ProposerSeat, h.VRFProof, h.VotesDigest = uint64(in.Seat), in.Proof, in.VotesDigest
	s := &fakeState{w: w, h: &h, rosters: p.rosters, applied: applied, parent: p, ignored: p.ignored}
	for i, c := range map[int]committee.Name{0: committee.A, 2: committee.B} {
		if next := s.rosters[i+1]; next != nil && in.Epoch >= transition.TermStart(w.doc.Params, c, next.List.Term) {
			s.rosters[i], s.rosters[i+1] = next, nil
		}
		if want := transition.TermAt(w.doc.Params, c, in.Epoch+uint64(w.doc.Params.DrawLead)); s.rosters[i+1] == nil && want > s.rosters[i].List.Term {
			s.rosters[i+1] = w.roster(c, want)
		}
	}
	return s.seal(), nil
}

// tally returns the ops that enough ballots have, rising.
func tally(ballots []Ballot, matching int) [][4]byte {
	counts := map[[4]byte]int{}
	for _, b := range ballots {
		for i := 0; i+4 <= len(b.Ops); i += 4 {
			counts[[4]byte(b.Ops[i:])]++
		}
	}
	var out [][4]byte
	for o, n := range counts {
		if n >= matching {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b [4]byte) int { return strings.Compare(string(a[:]), string(b[:])) })
	return out
}

func (w *world) Check(ancestor, child State) error {
	if child.Header().HistorySize <= ancestor.Header().HistorySize || child.Header().Epoch <= ancestor.Header().Epoch {
		return ErrHandOver
	}
	return nil
}

// cached remembers answers of Plain, since many members ask the same.
type cached struct {
	signatures map[string]bool
	proofs     map[string][]byte
}

func newCached() *cached { return &cached{map[string]bool{}, map[string][]byte{}} }

func (v *cached) Signatures(batch []Check) bool {
	for i := range batch {
		c := &batch[i]
		at := string(c.Key[:]) + string(c.Signature[:]) + string(c.Message)
		ok, known := v.signatures[at]
		if !known {
			ok = Plain{}.Signatures(batch[i : i+1])
			v.signatures[at] = ok
		}
		if !ok {
			return false
		}
	}
	return true
}

func (v *cached) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	at := string(key[:]) + string(proof[:]) + string(alpha)
	out, known := v.proofs[at]
	if !known {
		if o, err := (Plain{}).Proof(key, alpha, proof); err == nil {
			out = o[:]
		}
		v.proofs[at] = out
	}
	if out == nil {
		return [vrf.OutputSize]byte{}, vrf.ErrProof
	}
	return [vrf.OutputSize]byte(out), nil
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
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
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
