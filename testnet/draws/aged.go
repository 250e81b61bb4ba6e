// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"encoding/binary"
	"math/rand/v2"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
)

// start is the genesis of every simulated network.
func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// document is a network's with the parameters of public ones, or with those given. It
// says testnet, because the document of a public network has no room for so many
// founders and asks for public addresses; no rule of the table depends on it.
func document(seed uint64, founders []*record.Founder, p genesis.Params) (*genesis.Document, error) {
	return genesis.Plan{
		Name: "draws", Testnet: true, Params: &p, Founders: founders, Time: start().Add(time.Duration(seed) * time.Hour),
	}.Document()
}

// founder is a relay's record as a founder.
func (r *node) founder(seed uint64) *record.Founder {
	f := &record.Founder{
		Identity: r.key[:], Onion: onionKey(seed, r.serial), VRF: r.key, Committee: [2][32]byte{r.key, r.key},
		Addresses: addresses(r.place), DeclaredRate: r.rate, Roles: r.roles(),
	}
	if r.exit {
		f.Policy = web
	}
	return f
}

// agedDays is how many days an aged network is old: whole terms, and whole cohorts of
// public networks, of which there are 35. No relay of it is younger than guard_full.
const agedDays = 1050

// aged returns the snapshot of a network after agedDays: the document's founders as
// relays that came one by one since then, none a founder any more. No transition
// leads there in reasonable time; it is put together as relays put a fetched state
// together, and from then on the rules have it. The ages are drawn from rng. weeks are
// added, by which the first day is later in a cohort.
func aged(doc *genesis.Document, rng *rand.Rand, weeks int) (*transition.State, error) {
	p := doc.Params
	zero := transition.Genesis(doc)
	table := zero.Snapshot().Table()
	epoch := uint64((agedDays + 7*weeks) * p.Day)
	today := snapshot.Day(p, epoch)
	leaves := make([]snapshot.Leaf, table.Len())
	var aux [][]byte
	var tile []byte
	for i := range leaves {
		leaves[i] = table.At(i).Leaf
		leaves[i].Flags &^= snapshot.FlagFounder
		leaves[i].BirthDay = uint16(rng.IntN(today - p.GuardFull + 1))
		tile = appendAux(tile, zero.Aux(i), transition.TermAt(p, committee.A, epoch))
		if i%snapshot.TileLeafCount == snapshot.TileLeafCount-1 || i == len(leaves)-1 {
			aux, tile = append(aux, tile), nil
		}
	}
	parts := zero.Parts()
	aux = append(aux, parts.Aux[len(parts.Aux)-1]) // the counters: one snapshot of its day, nothing stopped
	made, err := snapshot.NewTable(leaves, table.Dictionaries())
	if err != nil {
		return nil, err
	}
	h := *zero.Snapshot().Header()
	h.Epoch, h.DirRoot = epoch, made.DirRoot()
	roots := [4]*[32]byte{&h.ListA, nil, &h.ListB, nil}
	for i, l := range zero.Lists() {
		if l == nil {
			continue
		}
		now := &transition.List{Name: l.Name, Term: transition.TermAt(p, l.Name, epoch), Seats: l.Seats}
		*roots[i] = now.Root()
		parts.Lists[i] = now.Encode()
	}
	var tiles [][32]byte
	for _, t := range aux {
		tiles = append(tiles, auxRoot(t))
	}
	h.AuxRoot = snapshot.TreeRoot(tiles)
	parts.Header, parts.Aux, parts.Tiles = h.Encode(), aux, nil
	for n := range made.TileRoots() {
		parts.Tiles = append(parts.Tiles, made.Tile(n))
	}
	return transition.Assemble(doc, parts)
}

// appendAux appends what relays hold of a relay in the wire's form, with keys for the
// terms from term on. Spec: protocol §7 (TRN-5).
func appendAux(out []byte, a *transition.Aux, term uint64) []byte {
	out = append(append(append(out, 1), a.Body[:]...), a.VRF[:]...)
	out = append(out, a.Target, a.Reach, a.Idle)
	out = binary.BigEndian.AppendUint16(out, a.Uptime)
	out = binary.BigEndian.AppendUint16(out, a.DayRunning)
	out = binary.BigEndian.AppendUint64(out, a.Admitted)
	out = binary.BigEndian.AppendUint16(append(out, a.Lane), a.VoucherDay)
	out = binary.BigEndian.AppendUint64(out, a.PenaltyEnd)
	out = binary.BigEndian.AppendUint64(out, a.ProbationEnd)
	out = append(out, record.MaxCommitteeKeyCount)
	for t := range uint64(record.MaxCommitteeKeyCount) {
		out = append(binary.BigEndian.AppendUint64(out, term+t), a.VRF[:]...)
	}
	return out
}

// auxRoot is the root of a tile: of equal records, or of the one of the counters.
func auxRoot(tile []byte) [32]byte {
	size := len(appendAux(nil, &transition.Aux{}, 0))
	if len(tile) < size {
		return snapshot.TreeRoot([][32]byte{snapshot.LeafHash(tile)})
	}
	var hashes [][32]byte
	for at := 0; at < len(tile); at += size {
		hashes = append(hashes, snapshot.LeafHash(tile[at:at+size]))
	}
	return snapshot.TreeRoot(hashes)
}
