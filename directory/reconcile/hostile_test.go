// SPDX-License-Identifier: BSD-3-Clause

package reconcile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// sessionKeys are those of the sessions that run makes.
func sessionKeys() keys { return deriveKeys(config(nil).HandshakeHash, nonce(1), nonce(2)) }

// itemAt returns an item whose second symbol is the given one, as a peer that knows
// the keys can search for.
func itemAt(t *testing.T, k *keys, index uint32) Item {
	t.Helper()
	for n := uint64(0); n < 1<<20; n++ {
		var item Item
		binary.BigEndian.PutUint64(item[8:], n)
		w := newWalk(k.index.hash(item[:]))
		if w.next(); w.index == index {
			return item
		}
	}
	t.Fatal("no such item")
	return Item{}
}

// Symbols that no set has end the session with an error, and never with a result
// (REPAIR-6).
func TestPoisonedSymbolsFailTheSession(t *testing.T) {
	a, b := sets(t, "poison", 500, 3, 4)
	k := sessionKeys()
	for name, change := range map[string]func(s []Symbol){
		"first count too small":            func(s []Symbol) { s[0].Count-- },
		"first count too large":            func(s []Symbol) { s[0].Count++ },
		"a negative count":                 func(s []Symbol) { s[5].Count = -1 },
		"a count beyond the set":           func(s []Symbol) { s[5].Count = 505 },
		"the largest count":                func(s []Symbol) { s[5].Count = 1<<31 - 1 },
		"an item that is not in its index": func(s []Symbol) { x := itemAt(t, &k, 3); s[7].fold(x[:], k.check.hash(x[:]), 1) },
		"an item of ours as theirs": func(s []Symbol) {
			x := a.digests[0][:ItemSize]
			for w := newWalk(k.index.hash(x)); w.index < uint32(len(s)); w.next() {
				s[w.index].fold(x, k.check.hash(x), 1)
			}
			s[0].Count--
		},
		"an item taken away that we lack": func(s []Symbol) {
			x := itemAt(t, &k, 1)
			for w := newWalk(k.index.hash(x[:])); w.index < uint32(len(s)); w.next() {
				s[w.index].fold(x[:], k.check.hash(x[:]), -1)
			}
			s[0].Count++
		},
	} {
		o, r := run(t, config(a), config(b), func(fromOpener bool, m Message) Message {
			if s, ok := m.(*Symbols); ok && !fromOpener && s.From == 0 {
				change(s.Symbols)
			}
			return m
		})
		if !errors.Is(o.err, ErrPoisoned) || o.result != nil {
			t.Errorf("%s: %v", name, o.err)
		}
		if !errors.Is(r.err, ErrRefused) {
			t.Errorf("%s: the responder was not told: %v", name, r.err)
		}
	}
}

// A symbol with one changed bit is never taken for a difference: the session fails,
// or goes on without it and ends right.
func TestEveryChangedBitOfASymbolIsHarmless(t *testing.T) {
	a, b := sets(t, "bits", 40, 2, 3)
	for bit := range SymbolSize * 8 {
		for _, index := range []int{0, 1, 9, 31} {
			o, _ := run(t, config(a), config(b), func(fromOpener bool, m Message) Message {
				if s, ok := m.(*Symbols); ok && !fromOpener && s.From == 0 {
					raw := s.Symbols[index].Append(nil)
					raw[bit/8] ^= 1 << (bit % 8)
					s.Symbols[index] = parseSymbol(raw)
				}
				return m
			})
			switch {
			case errors.Is(o.err, ErrPoisoned):
			case o.err == nil && o.result.Fallback:
				checkSide(t, "opener", a, b, config(a).ShortKey, o.result)
				if !o.result.Suspicious {
					t.Errorf("bit %d of symbol %d: not suspicious", bit, index)
				}
			default:
				t.Fatalf("bit %d of symbol %d: %v %+v", bit, index, o.err, o.result)
			}
		}
	}
}

// garble replaces the responder's symbols with noise of credible counts.
func garble(seed uint64, count int) tamper {
	rand := rand.New(rand.NewPCG(seed, 1))
	return func(fromOpener bool, m Message) Message {
		s, ok := m.(*Symbols)
		if !ok || fromOpener {
			return m
		}
		for i := range s.Symbols {
			if s.From > 0 || i > 0 {
				s.Symbols[i].Count = int32(rand.IntN(count + 1))
			}
			binary.BigEndian.PutUint64(s.Symbols[i].Sum[:], rand.Uint64())
			s.Symbols[i].Check = rand.Uint64()
		}
		return s
	}
}

// Garbage that never peels costs a bounded number of symbols; then the session falls
// back, or is undecided.
func TestGarbageNeverPeelsAndNeverLoops(t *testing.T) {
	a, b := sets(t, "garbage", 300, 5, 5)
	for seed := range uint64(10) {
		o, r := run(t, config(a), config(b), garble(seed, b.Len()))
		check(t, a, b, config(a).ShortKey, o, r)
		if !o.result.Fallback || !o.result.Suspicious || o.result.SymbolCount != 256 {
			t.Errorf("seed %d: %+v", seed, o.result)
		}
		without := config(a)
		without.Fallback = false
		o, r = run(t, without, config(b), garble(seed, b.Len()))
		if !errors.Is(o.err, ErrUndecided) || !errors.Is(r.err, ErrRefused) {
			t.Errorf("seed %d, no fallback: %v, %v", seed, o.err, r.err)
		}
		without = config(b)
		without.Fallback = false
		o, r = run(t, config(a), without, garble(seed, b.Len()))
		if !errors.Is(o.err, ErrRefused) || !errors.Is(r.err, ErrUndecided) {
			t.Errorf("seed %d, responder without fallback: %v, %v", seed, o.err, r.err)
		}
	}
}

// A peer that knows the keys can make items with many symbols each: peeling stops
// after a fixed number of steps.
func TestPeelingIsBounded(t *testing.T) {
	k := sessionKeys()
	set := setOf(t, digests("bounded", 10))
	d := newDecoder(new(Set), &k)
	d.steps = maxPeelSteps - 5
	if _, err := d.add(encode(set, &k, 0, 64), make([]Symbol, 64)); !errors.Is(err, ErrPoisoned) {
		t.Errorf("%v", err)
	}
}

// An item that was found cannot be found again, and one that is not part of the
// symbol it stands in is none.
func TestItemFoundTwiceIsPoison(t *testing.T) {
	k := sessionKeys()
	x := itemAt(t, &k, 5)
	for _, extra := range []int{3, 7} { // looked at after index 5, and before it
		s := make([]Symbol, 8)
		for _, i := range []int{0, 5, extra} {
			s[i].fold(x[:], k.check.hash(x[:]), 1)
		}
		d := newDecoder(new(Set), &k)
		if ok, err := d.add(s, make([]Symbol, 8)); ok || !errors.Is(err, ErrPoisoned) || len(d.found) != 1 {
			t.Errorf("%d: %v %v", extra, ok, err)
		}
	}
}

// Sides with different keys agree on nothing by symbols, and reveal no false item.
func TestWrongKeyFindsNothing(t *testing.T) {
	a, b := sets(t, "wrong key", 200, 2, 2)
	x, y := config(a), config(b)
	y.HandshakeHash[0] ^= 1
	x.Fallback = false
	o, _ := run(t, x, y, nil)
	if !errors.Is(o.err, ErrUndecided) {
		t.Errorf("handshake: %v", o.err)
	}
	y = config(b)
	for _, fromOpener := range []bool{true, false} {
		o, _ = run(t, x, y, func(from bool, m Message) Message {
			if open, ok := m.(*Open); ok && from == fromOpener {
				open.Nonce[3] ^= 1
			}
			return m
		})
		if !errors.Is(o.err, ErrUndecided) {
			t.Errorf("nonce: %v", o.err)
		}
	}
}

// What a peer said in another session, or before in this one, is of no use
// (REPAIR-2, REPAIR-6).
func TestReplayedFramesRefused(t *testing.T) {
	a, b := sets(t, "replay", 100, 40, 60)
	var answers []Message
	o, _ := run(t, config(a), config(b), func(fromOpener bool, m Message) Message {
		if !fromOpener {
			answers = append(answers, m)
		}
		return m
	})
	if o.err != nil || len(answers) < 4 {
		t.Fatalf("%v, %d answers", o.err, len(answers))
	}
	// In a session of its own the old answers fit the states but not the keys.
	cfg := config(a)
	cfg.Fallback = false
	s, _ := NewOpener(cfg, nonce(9))
	var err error
	for _, m := range answers {
		if _, _, err = s.Step(m); err != nil {
			break
		}
	}
	if s.Ended() && err == nil {
		t.Error("old answers gave a result")
	}
	// Within the session each message is taken once.
	for at := range answers {
		s, _ := NewOpener(config(a), nonce(1))
		for i, m := range answers {
			if _, _, err := s.Step(m); err != nil {
				t.Fatal(err)
			}
			if i == at {
				break
			}
		}
		_, result, err := s.Step(answers[at])
		if result != nil || !errors.Is(err, ErrOrder) && !errors.Is(err, ErrEnded) {
			t.Errorf("answer %d twice: %v", at, err)
		}
	}
}

// Every message in every state: what is not awaited ends the session, and nothing
// follows (REPAIR-6).
func TestEveryMessageInEveryState(t *testing.T) {
	a, b := sets(t, "states", 1000, 100, 200)
	far, _ := sets(t, "states far", 3000, 0, 0)
	cfg := config(a)
	k := sessionKeys()
	symbols := func(from, n uint32) Message { return &Symbols{From: from, Symbols: encode(b, &k, from, from+n)} }
	answer := func(set *Set) Message { return &Open{Answer: true, Nonce: nonce(2), Count: uint32(set.Len())} }
	open := func(set *Set) Message { return &Open{Nonce: nonce(1), Count: uint32(set.Len())} }
	states := map[string]struct {
		begin func() *Session
		steps []Message
		takes string
	}{
		"opener awaits the answer":       {func() *Session { s, _ := NewOpener(cfg, nonce(1)); return s }, nil, "answer far"},
		"opener awaits symbols":          {func() *Session { s, _ := NewOpener(cfg, nonce(1)); return s }, []Message{answer(b)}, "symbols 0"},
		"opener awaits further ones":     {func() *Session { s, _ := NewOpener(cfg, nonce(1)); return s }, []Message{answer(b), symbols(0, 32)}, "symbols 32"},
		"opener awaits lists":            {func() *Session { s, _ := NewOpener(cfg, nonce(1)); return s }, []Message{answer(far)}, ""},
		"responder awaits the open":      {func() *Session { return NewResponder(cfg, nonce(2)) }, nil, "open far"},
		"responder serves symbols":       {func() *Session { return NewResponder(cfg, nonce(2)) }, []Message{open(b)}, "more 32"},
		"responder may be asked to list": {func() *Session { return NewResponder(cfg, nonce(2)) }, []Message{open(far)}, "sums"},
		"responder has listed":           {func() *Session { return NewResponder(cfg, nonce(2)) }, []Message{open(far), &Sums{}}, "done more"},
	}
	full := &Done{Code: DoneMore}
	for n := range MaxIDCount {
		full.OfferedIDs = append(full.OfferedIDs, ShortID(n))
	}
	messages := map[string]Message{
		"answer far": answer(far), "open far": open(far), "symbols 0": symbols(0, 32), "symbols 32": symbols(32, 64),
		"more 0": &Symbols{}, "more 32": &Symbols{From: 32}, "more 96": &Symbols{From: 96},
		"sums": &Sums{}, "next 0": &Next{}, "next 1": &Next{N: 1}, "next 2": &Next{N: 2},
		"lists 1": &Lists{N: 1}, "done symbols": &Done{}, "done lists": &Done{Code: DoneLists}, "done more": full,
	}
	reach := func(name string) *Session {
		s := states[name].begin()
		for _, m := range states[name].steps {
			if _, _, err := s.Step(m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		return s
	}
	for name, st := range states {
		for what, m := range messages {
			s := reach(name)
			out, result, err := s.Step(m)
			switch {
			case what == st.takes:
				if what == "done more" { // 4,096 of the peer's 3,000: beyond its count
					if !errors.Is(err, ErrLimit) {
						t.Errorf("%s, %s: %v", name, what, err)
					}
				} else if err != nil || result != nil || s.Ended() {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			case name == "responder serves symbols" && what == "done symbols", name == "responder has listed" && what == "done lists":
				// Taken, but it says that nothing differs.
				if !errors.Is(err, ErrPoisoned) {
					t.Errorf("%s, %s: %v", name, what, err)
				}
			default:
				if !errors.Is(err, ErrOrder) || result != nil || len(out) > 0 || !s.Ended() {
					t.Errorf("%s, %s: %v", name, what, err)
				}
				if _, _, err := s.Step(m); !errors.Is(err, ErrEnded) {
					t.Errorf("%s, %s, again: %v", name, what, err)
				}
			}
		}
		for _, code := range []DoneCode{DoneAbandoned, DoneRefused} {
			s := reach(name)
			if out, _, err := s.Step(&Done{Code: code}); !errors.Is(err, ErrRefused) || len(out) > 0 || !s.Ended() {
				t.Errorf("%s, done %d: %v", name, code, err)
			}
		}
	}
	if s, _ := NewOpener(cfg, nonce(1)); true {
		if _, _, err := s.Step(Refuse()); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	}
}

func TestPeerCountIsBounded(t *testing.T) {
	cfg := config(setOf(t, digests("x", 10)))
	cfg.MaxPeerCount = 1000
	for _, count := range []uint32{1000, 1001} {
		o, _ := NewOpener(cfg, nonce(1))
		_, _, errO := o.Step(&Open{Answer: true, Count: count})
		_, _, errR := NewResponder(cfg, nonce(1)).Step(&Open{Count: count})
		for _, err := range []error{errO, errR} {
			if errors.Is(err, ErrLimit) != (count > 1000) {
				t.Errorf("%d: %v", count, err)
			}
		}
	}
}

// listFrames drives an opener with an empty set against hand-made lists.
func opensAgainst(t *testing.T, own, peerCount int, lists ...*Lists) (*Result, error) {
	t.Helper()
	s, _ := NewOpener(config(setOf(t, digests("own", own))), nonce(1))
	if _, _, err := s.Step(&Open{Answer: true, Count: uint32(peerCount)}); err != nil {
		t.Fatal(err)
	}
	for i, l := range lists {
		l.N = uint32(i)
		_, r, err := s.Step(l)
		if r != nil || err != nil {
			return r, err
		}
	}
	return nil, nil
}

func ids(from, count int) []ShortID {
	var out []ShortID
	for n := range count {
		out = append(out, ShortID(from+n))
	}
	return out
}

func TestBadListsRefused(t *testing.T) { // REPAIR-5, REPAIR-6
	full := func() List { return List{Bucket: 1, IDs: ids(0, MaxIDCount)} }
	for name, v := range map[string]struct {
		count int
		lists []*Lists
		want  error
	}{
		"more ids than the set has":      {2000, []*Lists{{Lists: []List{{1, ids(0, 2001)}}}}, ErrLimit},
		"fewer ids than the set has":     {2000, []*Lists{{Lists: []List{{1, ids(0, 1999)}}}}, ErrPoisoned},
		"no lists":                       {2000, []*Lists{{}}, ErrPoisoned},
		"a frame that is not full":       {2000, []*Lists{{More: true, Lists: []List{{1, ids(0, 500)}}}}, ErrLimit},
		"an empty frame before others":   {2000, []*Lists{{More: true}}, ErrLimit},
		"a bucket before the last":       {9000, []*Lists{{More: true, Lists: []List{full()}}, {Lists: []List{{0, ids(0, 1)}}}}, ErrOrder},
		"going on with nothing":          {9000, []*Lists{{More: true, Lists: []List{full()}}, {Lists: []List{{1, nil}}}}, ErrOrder},
		"going on with the last id":      {9000, []*Lists{{More: true, Lists: []List{full()}}, {Lists: []List{{1, ids(MaxIDCount-1, 2)}}}}, ErrOrder},
		"more frames than the set fills": {5000, []*Lists{{More: true, Lists: []List{full()}}, {More: true, Lists: []List{{2, ids(0, MaxIDCount)}}}}, ErrLimit},
		"as many as the set has":         {2000, []*Lists{{Lists: []List{{1, ids(0, 2000)}}}}, nil},
		"two frames":                     {5000, []*Lists{{More: true, Lists: []List{full()}}, {Lists: []List{{1, ids(MaxIDCount, 904)}}}}, nil},
	} {
		r, err := opensAgainst(t, 0, v.count, v.lists...)
		if !errors.Is(err, v.want) || (r != nil) != (v.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// listed is a responder that has listed its 3,000 digests to a peer without any.
func listed(t *testing.T, peerCount int) (*Session, []ShortID) {
	t.Helper()
	s := NewResponder(config(setOf(t, digests("listed", 3000))), nonce(2))
	if _, _, err := s.Step(&Open{Count: uint32(peerCount)}); err != nil {
		t.Fatal(err)
	}
	out, _, err := s.Step(&Sums{})
	if err != nil {
		t.Fatal(err)
	}
	var all []ShortID
	for _, l := range out[0].(*Lists).Lists {
		all = append(all, l.IDs...)
	}
	if len(all) != 3000 {
		t.Fatalf("%d ids", len(all))
	}
	return s, all
}

func TestBadReportsRefused(t *testing.T) { // REPAIR-5, REPAIR-6
	_, all := listed(t, 0)
	swapped := slices.Clone(all)
	swapped[10], swapped[11] = swapped[11], swapped[10]
	for name, v := range map[string]struct {
		peer int
		m    *Done
		want error
	}{
		"right":                        {0, &Done{Code: DoneLists, WantedIDs: all}, nil},
		"an id twice":                  {0, &Done{Code: DoneLists, WantedIDs: append(slices.Clone(all), all[2999])}, ErrPoisoned},
		"an id that was not listed":    {0, &Done{Code: DoneLists, WantedIDs: append([]ShortID{1}, all[1:]...)}, ErrPoisoned},
		"another order":                {0, &Done{Code: DoneLists, WantedIDs: swapped}, ErrPoisoned},
		"fewer than must be":           {0, &Done{Code: DoneLists, WantedIDs: all[1:]}, ErrPoisoned},
		"more offered than there are":  {1, &Done{Code: DoneLists, WantedIDs: all, OfferedIDs: ids(0, 2)}, ErrLimit},
		"an offered one of none":       {0, &Done{Code: DoneLists, WantedIDs: all, OfferedIDs: ids(0, 1)}, ErrLimit},
		"a part that is not full":      {0, &Done{Code: DoneMore, WantedIDs: all}, ErrLimit},
		"counts that do not add up":    {1, &Done{Code: DoneLists, WantedIDs: all}, ErrPoisoned},
		"counts that add up otherwise": {1, &Done{Code: DoneLists, WantedIDs: all[1:]}, nil},
	} {
		s, _ := listed(t, v.peer)
		_, r, err := s.Step(v.m)
		if !errors.Is(err, v.want) || (r != nil) != (v.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}

	// The same for items, after symbols.
	a, b := sets(t, "report", 100, 2, 3)
	wanted := func(n int) (out []Item) { // what the peer b lacks of a
		for _, d := range sortDigests(digests("reportours", n)) {
			out = append(out, Item(d[:ItemSize]))
		}
		return out
	}
	offered := func(n int) (out []Item) {
		for _, d := range sortDigests(digests("reporttheirs", n)) {
			out = append(out, Item(d[:ItemSize]))
		}
		return out
	}
	for name, v := range map[string]struct {
		m    *Done
		want error
	}{
		"right":                {&Done{Wanted: wanted(2), Offered: offered(3)}, nil},
		"fewer wanted":         {&Done{Wanted: wanted(1), Offered: offered(3)}, ErrPoisoned},
		"nothing":              {&Done{}, ErrPoisoned},
		"wanted that we lack":  {&Done{Wanted: offered(2), Offered: offered(3)}, ErrPoisoned},
		"offered that we have": {&Done{Wanted: wanted(2), Offered: []Item{Item(a.digests[0][:ItemSize]), {0xff}, {0xff, 1}}}, ErrPoisoned},
	} {
		s := NewResponder(config(a), nonce(2))
		if _, _, err := s.Step(&Open{Nonce: nonce(1), Count: uint32(b.Len())}); err != nil {
			t.Fatal(err)
		}
		_, r, err := s.Step(v.m)
		if !errors.Is(err, v.want) || (r != nil) != (v.want == nil) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpener and FuzzResponder feed a session whatever frames come: it never takes
// more than it may, and never goes on after its end.
func FuzzOpener(f *testing.F) {
	seedSession(f, false)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, _ := NewOpener(config(setOf(t, digests("fuzz", 40))), nonce(1))
		feed(t, s, data)
	})
}

func FuzzResponder(f *testing.F) {
	seedSession(f, true)
	f.Fuzz(func(t *testing.T, data []byte) {
		feed(t, NewResponder(config(setOf(t, digests("fuzz", 40))), nonce(2)), data)
	})
}

// seedSession adds what one side says in sessions with the sets that are fuzzed.
func seedSession(f *testing.F, openers bool) {
	for _, n := range []int{0, 3, 300, 2000} {
		var stream []byte
		mine, other := setOf(f, digests("fuzz", 40)), setOf(f, digests("fuzz", 35), digests("other", n))
		a, b := config(mine), config(other)
		if openers {
			a, b = b, a
		}
		run(f, a, b, func(fromOpener bool, m Message) Message {
			if fromOpener == openers {
				body, err := m.Encode()
				if err != nil {
					f.Fatal(err)
				}
				stream = append(binary.BigEndian.AppendUint16(stream, uint16(len(body))), body...)
			}
			return m
		})
		f.Add(stream)
	}
}

func feed(t *testing.T, s *Session, data []byte) {
	for len(data) >= 2 {
		n := min(int(binary.BigEndian.Uint16(data)), len(data)-2)
		m, err := Decode(data[2 : 2+n])
		data = data[2+n:]
		if err != nil {
			continue
		}
		ended := s.Ended()
		out, result, err := s.Step(m)
		if ended && !errors.Is(err, ErrEnded) || (result != nil || err != nil) != s.Ended() || result != nil && err != nil {
			t.Fatalf("ended %v: %v", ended, err)
		}
		for _, m := range out {
			if _, err := m.Encode(); err != nil {
				t.Fatalf("%T does not encode", m)
			}
		}
		if result != nil {
			for _, d := range result.OnlyOurs {
				if _, ok := config(setOf(t, digests("fuzz", 40))).Set.find(Item(d[:ItemSize])); !ok {
					t.Fatal("a digest of nobody")
				}
			}
			if slices.ContainsFunc(result.OnlyTheirs, func(i Item) bool {
				return slices.ContainsFunc(digests("fuzz", 40), func(d Digest) bool { return bytes.Equal(d[:ItemSize], i[:]) })
			}) {
				t.Fatal("an item of ours as theirs")
			}
		}
		if s.decoder != nil && (len(s.decoder.symbols) > MaxSymbolCount || len(s.decoder.found) > MaxSymbolCount) {
			t.Fatal("beyond the bounds")
		}
	}
}
