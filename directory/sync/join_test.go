// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"math/rand/v2"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
)

// weeks is a network with committees of 96 after so many terms, of which each snapshot
// that matters was made.
func weeks(t testing.TB, terms int) *lab {
	p := genesis.Public()
	p.SeatsPerGroup, p.SeatsPerNet, p.StopEpoch, p.StopDay = 0, 0, 0, 0
	l := newLab(t, 96, p)
	for e := uint64(24); e < uint64(terms*p.Term); e += 24 {
		l.next = e
		var ops []transition.Op
		if e%168 == 48 {
			ops = l.renewAll(96)
		}
		drawn := len(l.steps)
		if l.grow(ops...); len(l.steps) > drawn { // as each hour does: one of the other committee too
			l.grow()
			l.grow()
		}
	}
	l.next = uint64(terms*p.Term) + 1
	return l
}

// until goes on to an epoch whose working snapshot's number is last modulo 5.
func (l *lab) until(last uint64) *lab {
	l = l.fork()
	for l.next%5 != last {
		l.next++
	}
	l.grow()
	l.grow()
	return l
}

// joining counts what a client that holds lists, and no table, is sent by a server until
// it has the working table. Nothing is verified: the table is not that of the header.
func joining(t testing.TB, s *Server, l *lab, f *Follower, table *snapshot.Table) (bytes int, steps int) {
	t.Helper()
	now := l.clock()
	w := *s.working(now)
	w.file = newFile(table)
	again := *s
	again.finals = append([]*held(nil), s.finals...)
	for i, h := range again.finals {
		if h.digest == w.digest {
			again.finals[i] = &w
		}
	}
	src := of(&again, now)
	q := f.request(f.at, l.doc.EpochAt(now))
	q.Table = nil
	a, err := ask(src, q)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := vote.DecodeCertificate(a.Certificate)
	if err != nil {
		t.Fatal(err)
	}
	known, err := f.steps(a.Steps, f.at)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.follow(f.at, known, cert); err != nil {
		t.Fatal(err)
	}
	if len(a.Dict) == 0 {
		if _, err := ask(src, &Request{Code: CodeDictionaries, Dict: w.file.roots.Dict}); err != nil {
			t.Fatal(err)
		}
	}
	for n := len(a.Tiles); n < len(a.TileRoots); n += MaxTileCount {
		count := min(MaxTileCount, len(a.TileRoots)-n)
		if _, err := ask(src, &Request{Code: CodeTile, Dir: w.file.roots.Dir, N: uint32(n), Count: uint32(count)}); err != nil {
			t.Fatal(err)
		}
	}
	return src.got + src.sent, len(a.Steps)
}

// How much a client moves until it has the table. Spec: directory §14 (G4).
func TestJoiningSizes(t *testing.T) {
	base := weeks(t, 2)
	for owner, last := range map[string]uint64{"A": 1, "B": 4} {
		l := base.until(last)
		s := l.server()
		f := l.follower() // an anchor as old as the network: two weeks
		for _, test := range []struct {
			relays, most int
		}{{1000, 100_000}, {10_000, 750_000}} {
			table := tableOf(t, test.relays)
			got, steps := joining(t, s, l, f, table)
			t.Logf("%d relays, anchor of 2 weeks, snapshot of %s: %d bytes (%d steps, certificate of %d, dictionaries of %d)", test.relays, owner, got, steps,
				len(s.working(l.clock()).cert), len(newFile(table).travel().dict))
			if got > test.most {
				t.Errorf("%d relays: %d bytes", test.relays, got)
			}
		}
	}
	// A testnet of ten, half an hour old: three terms of each committee.
	ten := newLab(t, 10, genesis.Testnet())
	server := NewServer(ten.doc)
	for e := range 180 {
		var ops []transition.Op
		if e%20 == 0 {
			ops = ten.renewAll(10)
		}
		server = server.With(ten.grow(ops...))
	}
	for name, age := range map[string]int{"begun": 5, "of half an hour": 180} {
		young := NewServer(ten.doc)
		for _, final := range ten.finals[:age] {
			young = young.With(final)
		}
		client, src := ten.follower(), of(young, ten.at(uint64(age)))
		if r, err := client.Fetch(src, func() time.Time { return ten.at(uint64(age)) }, nil); r != Newer || err != nil {
			t.Fatalf("%v, %v", r, err)
		}
		t.Logf("a testnet of ten, %s: %d bytes in %d requests", name, src.got+src.sent, len(src.asked))
		if src.got+src.sent > 10_000 {
			t.Errorf("a testnet of ten, %s: %d bytes", name, src.got+src.sent)
		}
	}
	_ = server
}

// What a client that is always on is sent. Spec: directory §14 (G4).
func TestStayingSizes(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for relays, most := range map[int]int{1000: 120_000, 10_000: 200_000} {
		old := tableOf(t, relays)
		// In two hours: one in 50 has another bucket, one in 200 stops or starts, one in 500 has
		// another key.
		leaves := make([]snapshot.Leaf, relays)
		for i := range leaves {
			leaves[i] = old.At(i).Leaf
			switch n := random.IntN(1000); {
			case n < 20:
				leaves[i].Bucket++
			case n < 25:
				leaves[i].Flags ^= snapshot.FlagRunning
			case n < 27:
				leaves[i].Onion = number(i)
			}
		}
		next, err := old.Next(leaves, old.Dictionaries())
		if err != nil {
			t.Fatal(err)
		}
		diff := newFile(next).diff(newFile(old))
		size := 12 * padded(4900+len(diff)+100)
		t.Logf("%d relays: a diff of %d bytes, %d bytes a day", relays, len(diff), size)
		if size > most {
			t.Errorf("%d relays: %d bytes a day", relays, size)
		}
	}
}
