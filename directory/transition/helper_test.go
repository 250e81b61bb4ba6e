// SPDX-License-Identifier: BSD-3-Clause

package transition

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
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/vrf"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// Keys cost more than what is tested; each is made once.
var (
	public = remembered(func(purpose string, n int) [32]byte {
		seed := sha256.Sum256(fmt.Append(nil, purpose, n))
		return [32]byte(ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
	})
	onion = remembered(func(purpose string, n int) [32]byte {
		seed := sha256.Sum256(fmt.Append(nil, purpose, n))
		key, err := ecdh.X25519().NewPrivateKey(seed[:])
		if err != nil {
			panic(err)
		}
		return [32]byte(key.PublicKey().Bytes())
	})
)

func remembered(make func(purpose string, n int) [32]byte) func(purpose string, n int) [32]byte {
	type name struct {
		purpose string
		n       int
	}
	known := map[name][32]byte{}
	return func(purpose string, n int) [32]byte {
		k, found := known[name{purpose, n}]
		if !found {
			k = make(purpose, n)
			known[name{purpose, n}] = k
		}
		return k
	}
}

// place returns an address that no other relay below 2^19 has, alone in its /24, and
// among the first 3,200 alone in its group.
func place(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + n%80), byte(n / 80 % 40), byte(n / 3200), 5}), 9240)
}

func policy(n int) []record.PortRange {
	return []record.PortRange{{Protocol: record.TCP, First: 80, Last: 80 + uint16(n)}}
}

func founder(n int) *record.Founder {
	identity, family := public("identity", n), public("family", n/2)
	f := &record.Founder{
		Identity: identity[:], Onion: onion("onion", n), VRF: public("vrf", n),
		Committee: [2][32]byte{public("committee 0", n), public("committee 1", n)},
		Addresses: []netip.AddrPort{place(n)}, DeclaredRate: uint32(1000 * (n%30 + 1)), Roles: record.RoleGuard,
	}
	if n%4 < 2 {
		f.Family = family[:]
	}
	if n%3 == 0 {
		f.Roles |= record.RoleExit
		f.Policy = policy(n % 2)
	}
	return f
}

// descriptor returns what relay n publishes; version makes another body.
func descriptor(n, version int) *record.Descriptor {
	identity := public("identity", n)
	d := &record.Descriptor{
		Identity: identity[:], Seq: uint64(version), Published: time.Unix(1767225600, 0), Expires: time.Unix(1767225600+3600, 0),
		Onion: onion("onion", n), NextOnion: onion("next onion", n), VRF: public("vrf", n),
		Addresses: []netip.AddrPort{place(n)}, DeclaredRate: uint32(1000 * (n%30 + 1)), Roles: record.RoleGuard,
		Nickname: fmt.Sprint("v", version),
	}
	return d
}

// withKeys adds committee keys of terms.
func withKeys(d *record.Descriptor, n int, terms ...uint64) *record.Descriptor {
	for _, t := range terms {
		key := public(fmt.Sprint("committee ", t), n)
		d.Committee = append(d.Committee, record.CommitteeKey{Term: t, Key: key[:]})
	}
	return d
}

func rid(doc *genesis.Document, n int) record.RID {
	identity := public("identity", n)
	return record.NewRID(doc.NetworkID(), identity[:])
}

// rules are the parameters of a public network, at which the caps are on, with
// changes. The document is a testnet's, so that the bounds of public ones do not
// stand in the way.
func rules(change func(p *genesis.Params)) genesis.Params {
	p := genesis.Public()
	if change != nil {
		change(&p)
	}
	return p
}

func document(t testing.TB, founders int, p genesis.Params) *genesis.Document {
	t.Helper()
	var all []*record.Founder
	for n := range founders {
		all = append(all, founder(n))
	}
	return documentOf(t, all, p)
}

func documentOf(t testing.TB, all []*record.Founder, p genesis.Params) *genesis.Document {
	t.Helper()
	doc, err := genesis.Plan{
		Name: "example", Testnet: true, Params: &p, Founders: all, Time: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}.Document()
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// catalog holds descriptors by relay and start of body.
type catalog map[record.RID]map[[16]byte]*record.Descriptor

func (c catalog) add(t testing.TB, doc *genesis.Document, d *record.Descriptor) [16]byte {
	t.Helper()
	full, err := Body(d)
	if err != nil {
		t.Fatal(err)
	}
	id := record.NewRID(doc.NetworkID(), d.Identity)
	if c[id] == nil {
		c[id] = map[[16]byte]*record.Descriptor{}
	}
	c[id][[16]byte(full[:16])] = d
	return [16]byte(full[:16])
}

func (c catalog) get(id record.RID, body [16]byte) *record.Descriptor { return c[id][body] }

// net is a network whose members agree.
type net struct {
	t    testing.TB
	doc  *genesis.Document
	now  *State
	cat  catalog
	next uint64 // epoch
}

func newNet(t testing.TB, doc *genesis.Document) *net {
	return &net{t: t, doc: doc, now: Genesis(doc), cat: catalog{}, next: 1}
}

// proof is a VRF proof that is not verified here: that of a fixed key. There are 61
// of them.
func proof(epoch uint64) ([vrf.ProofSize]byte, [vrf.OutputSize]byte) {
	seed := sha256.Sum256([]byte("proposer"))
	if proofs[epoch%61] == [vrf.ProofSize]byte{} {
		proofs[epoch%61] = vrf.NewSecretKey(&seed).Prove(binary.BigEndian.AppendUint64(nil, epoch%61))
	}
	out, err := vrf.ProofToHash(proofs[epoch%61])
	if err != nil {
		panic(err)
	}
	return proofs[epoch%61], out
}

var proofs [61][vrf.ProofSize]byte

// input has votes of all seats, which want the same.
func (n *net) input(ops []Op) Input {
	n.t.Helper()
	list := n.now.Owner(n.doc.Params, n.next)
	in := Input{Epoch: n.next, Descriptor: n.cat.get}
	in.Proof, in.Output = proof(n.next)
	in.VotesDigest = sha256.Sum256(AppendOps(nil, ops))
	for seat := range list.Seats {
		in.Votes = append(in.Votes, Vote{Seat: seat, Ops: ops})
	}
	return in
}

// step makes the next snapshot of ops that all want, and checks what must hold of
// every pair.
func (n *net) step(ops ...Op) *State {
	n.t.Helper()
	parent := n.now
	ops = sorted(ops)
	child, err := Next(n.doc, parent, n.input(ops))
	if err != nil {
		n.t.Fatal(err)
	}
	check(n.t, n.doc, parent, child)
	n.now, n.next = child, n.next+1
	return child
}

// skip leaves epochs without a snapshot.
func (n *net) skip(epochs int) { n.next += uint64(epochs) }

// serve lets two days pass, each of one snapshot, so that who is there has served.
func (n *net) serve() {
	n.t.Helper()
	for range 2 {
		n.skip(n.doc.Params.Day - 1)
		n.step()
	}
}

// check is what must hold of a parent and its child.
func check(t testing.TB, doc *genesis.Document, parent, child *State) {
	t.Helper()
	if err := CheckState(doc, parent, child); err != nil {
		t.Fatalf("epoch %d: %v", child.Epoch(), err)
	}
	diff, err := Diff(parent.snap.Table(), child.snap.Table())
	if err != nil {
		t.Fatal(err)
	}
	back, err := Apply(parent.snap.Table(), diff)
	if err != nil {
		t.Fatalf("epoch %d: %v", child.Epoch(), err)
	}
	if _, err := snapshot.New(child.snap.Header(), back, doc.Params); err != nil {
		t.Fatalf("epoch %d: %v", child.Epoch(), err)
	}
}

func sorted(ops []Op) []Op {
	parsed := AppendOps(nil, ops)
	out, err := ParseOps(parsed, snapshot.MaxLeafCount)
	if err != nil {
		panic(err)
	}
	return out
}

// at returns the table index of relay n.
func (n *net) at(relay int) uint32 {
	n.t.Helper()
	i, found := n.now.snap.Table().Index(rid(n.doc, relay))
	if !found {
		n.t.Fatalf("relay %d is not in the table", relay)
	}
	return uint32(i)
}

func (n *net) has(relay int) bool {
	_, found := n.now.snap.Table().Index(rid(n.doc, relay))
	return found
}

func (n *net) leaf(relay int) *snapshot.Leaf { return &n.now.snap.Table().At(int(n.at(relay))).Leaf }
func (n *net) aux(relay int) *Aux            { return n.now.Aux(int(n.at(relay))) }

func (n *net) add(d *record.Descriptor, lane uint8) Op {
	n.t.Helper()
	return Op{Code: Add, RID: record.NewRID(n.doc.NetworkID(), d.Identity), Body: n.cat.add(n.t, n.doc, d), Lane: lane}
}

func (n *net) update(relay int, d *record.Descriptor) Op {
	n.t.Helper()
	return Op{Code: Update, Index: n.at(relay), Body: n.cat.add(n.t, n.doc, d)}
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

// snapshotAddress returns an IPv6 address.
func snapshotAddress(n byte) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte{0x26, 0x06, 3: n, 15: 1}), 9240)
}
