// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

var update = flag.Bool("update", false, "write testdata/vectors/*.txt anew")

// seeded returns a source that gives the same bytes in every run.
func seeded(seed uint64) *rand.ChaCha8 {
	var s [32]byte
	binary.BigEndian.PutUint64(s[:], seed)
	return rand.NewChaCha8(s)
}

// view is a table with what a View needs beside it.
type view struct{ table *snapshot.Table }

func (v view) Epoch() uint64            { return 0 }
func (v view) Header() *snapshot.Header { return &snapshot.Header{} }
func (v view) Table() *snapshot.Table   { return v.table }
func (v view) Day() int                 { return 0 }

const (
	guardFlag = snapshot.FlagGuard
	exitFlag  = snapshot.FlagExit
	noRole    = snapshot.Flags(0)
	stopped   = snapshot.Flags(1 << 15) // for the tests: not running
)

// relay is what a test says about one relay; its rid is its number.
type relay struct {
	flags  snapshot.Flags
	addr   string // "20.0.0.1"; its group follows
	six    string // or none
	family uint16
	policy uint8 // of an exit: 1 web (tcp 80, 443), 2 all tcp, 3 udp 53; 0: 2
	bucket uint8 // 0: 36
}

func rid(n int) record.RID {
	var r record.RID
	binary.BigEndian.PutUint32(r[:], uint32(n)+1)
	return r
}

func number(r *snapshot.Relay) int { return int(binary.BigEndian.Uint32(r.RID[:])) - 1 }

func policies() [][]record.PortRange {
	return [][]record.PortRange{
		{{Protocol: record.TCP, First: 80, Last: 80}, {Protocol: record.TCP, First: 443, Last: 443}},
		{{Protocol: record.TCP, First: 1, Last: 65535}},
		{{Protocol: record.UDP, First: 53, Last: 53}},
	}
}

func table(t testing.TB, relays []relay) *snapshot.Table {
	t.Helper()
	dict := &snapshot.Dictionaries{Policies: policies()}
	groups := map[snapshot.Group]uint16{}
	leaves := make([]snapshot.Leaf, len(relays))
	for i, r := range relays {
		l := &leaves[i]
		l.RID, l.Bucket, l.Family = rid(i), r.bucket, r.family
		if l.Bucket == 0 {
			l.Bucket = 36
		}
		l.IPv4 = netip.AddrPortFrom(netip.MustParseAddr(r.addr), 9240)
		l.Flags = r.flags&^stopped | snapshot.FlagRunning
		if r.flags&stopped != 0 {
			l.Flags &^= snapshot.FlagRunning
		}
		if r.six != "" {
			l.IPv6, l.Flags = netip.AddrPortFrom(netip.MustParseAddr(r.six), 9240), l.Flags|snapshot.FlagIPv6
		}
		if r.flags&exitFlag != 0 {
			if l.Policy = r.policy; l.Policy == 0 {
				l.Policy = 2
			}
		}
		g := snapshot.GroupOf(l.IPv4, l.IPv6)
		if _, ok := groups[g]; !ok {
			groups[g] = uint16(len(dict.Groups))
			dict.Groups = append(dict.Groups, g)
		}
		l.Group = groups[g]
		for int(l.Family) > len(dict.Families) {
			seed := sha256.Sum256(fmt.Append(nil, "family", len(dict.Families)))
			dict.Families = append(dict.Families, ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey))
		}
	}
	out, err := snapshot.NewTable(leaves, dict)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// strict are testnet parameters with every path rule on.
func strict() genesis.Params {
	p := genesis.Testnet()
	p.PathNetworkRule = true
	return p
}

func selector(t testing.TB, relays []relay, p genesis.Params) *Selector {
	t.Helper()
	return NewSelector(view{table(t, relays)}, p)
}

// large makes a network of many relays in many networks and families.
func large(count int) []relay {
	out := make([]relay, count)
	for i := range out {
		h := sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(i)))
		r := relay{flags: guardFlag, addr: fmt.Sprintf("20.%d.%d.%d", h[0]%200, h[1], h[2]), bucket: 20 + h[3]%30}
		if h[4]%3 == 0 {
			r.flags |= exitFlag
			r.policy = 1 + h[5]%3
		}
		if h[6]%4 == 0 {
			r.flags &^= guardFlag
		}
		if h[7]%3 == 0 {
			r.family = 1 + uint16(h[8]%20)
		}
		if h[9]%3 == 0 {
			r.six = fmt.Sprintf("2606:%x::%x", h[10], 1+i)
		}
		if h[11]%20 == 0 {
			r.flags |= stopped
		}
		out[i] = r
	}
	return out
}

// apart makes n relays that share nothing.
func apart(n int, flags snapshot.Flags) []relay {
	var out []relay
	for i := range n {
		out = append(out, relay{flags: flags, addr: fmt.Sprintf("20.%d.0.1", i)})
	}
	return out
}

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }
