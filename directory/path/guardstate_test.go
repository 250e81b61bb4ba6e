// SPDX-License-Identifier: BSD-3-Clause

package path

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/internal/strictcbor"
)

// stateSamples are the states of an empty list, a new one, and one with
// everything in it.
func stateSamples(t testing.TB) [][]byte {
	t.Helper()
	empty := NewGuards(publicRules(), start())
	st := newStage(t, publicRules())
	fresh := st.g.Encode()
	st.without(st.list()[1])
	st.update()
	for i := range 120 {
		st.g.Circuit(st.now, st.usable()[0], i >= 100)
	}
	return [][]byte{empty.Encode(), fresh, st.g.Encode()}
}

func TestGuardStateRoundTrip(t *testing.T) {
	st := newStage(t, publicRules())
	g := st.list()
	st.after(100 * time.Minute)
	st.without(g[1])
	st.update()
	for range 100 {
		st.g.Circuit(st.now, g[0], false)
	}
	for range trialSize {
		st.g.Circuit(st.now, g[2], true)
	}
	back, err := LoadGuards(st.g.Encode(), publicRules(), st.now)
	if err != nil {
		t.Fatal(err)
	}
	got, want := back.List(st.now), st.g.List(st.now)
	if !slices.Equal(got, want) || !slices.Equal(back.Usable(st.now), st.usable()) {
		t.Errorf("%v became %v", want, got)
	}
	if !bytes.Equal(back.Encode(), st.g.Encode()) {
		t.Error("another state is written")
	}
	// What was learnt about links is not kept: the first guard is tried again.
	st.linkUp(g[2])
	st.g.LinkFailed(st.now, g[0])
	if !bytes.Equal(back.Encode(), st.g.Encode()) {
		t.Error("a failed link is written to disk")
	}
}

// TestGuardStateTellsNoTimeOfUse: two clients that started within a day write the
// same times.
func TestGuardStateTellsNoTimeOfUse(t *testing.T) {
	write := func(offset time.Duration) []byte {
		p := publicRules()
		p.GuardLifeMax = p.GuardLifeMin
		g := NewGuards(p, start().Add(offset))
		if _, err := g.Update(start().Add(offset), seeded(1), selector(t, apart(5, guardFlag), p)); err != nil {
			t.Fatal(err)
		}
		if _, err := g.Update(start().Add(offset), seeded(1), selector(t, nil, p)); err != nil {
			t.Fatal(err)
		}
		return g.Encode()
	}
	if !bytes.Equal(write(time.Minute), write(23*time.Hour)) {
		t.Error("the hour shows")
	}
}

func TestDamagedGuardStateIsRefused(t *testing.T) {
	samples := stateSamples(t)
	for _, b := range samples {
		for n := range b {
			if _, err := LoadGuards(b[:n], publicRules(), start()); !errors.Is(err, ErrGuardState) {
				t.Fatalf("cut to %d bytes: %v", n, err)
			}
		}
		if _, err := LoadGuards(append(bytes.Clone(b), 0), publicRules(), start()); !errors.Is(err, ErrGuardState) {
			t.Errorf("trailing byte: %v", err)
		}
	}
	// A changed byte would be another guard: it is noticed wherever it is.
	for _, b := range samples {
		for n := range b {
			for _, bit := range []byte{1, 0x80} {
				changed := bytes.Clone(b)
				changed[n] ^= bit
				if _, err := LoadGuards(changed, publicRules(), start()); !errors.Is(err, ErrGuardState) {
					t.Fatalf("byte %d changed: %v", n, err)
				}
			}
		}
	}
	one := wireGuard{RID: make([]byte, 16), Expires: 1 << 20}
	many := func(n int) (out []wireGuard) {
		for i := range n {
			r := rid(i)
			out = append(out, wireGuard{RID: r[:], Expires: 1 << 20})
		}
		return out
	}
	for name, test := range map[string]struct {
		w  wireGuards
		ok bool
	}{
		"one guard":                {wireGuards{Version: 1, Guards: []wireGuard{one}}, true},
		"version 0":                {wireGuards{Version: 0}, false},
		"version 2 without digest": {wireGuards{Version: 2}, false},
		"guard twice":              {wireGuards{Version: 1, Guards: []wireGuard{one, one}}, false},
		"short rid":                {wireGuards{Version: 1, Guards: []wireGuard{{RID: make([]byte, 15), Expires: 1 << 20}}}, false},
		"end on day 0":             {wireGuards{Version: 1, Guards: []wireGuard{{RID: make([]byte, 16), Expires: 1}}}, false},
		"no end":                   {wireGuards{Version: 1, Guards: []wireGuard{{RID: make([]byte, 16)}}}, false},
		"after 9999":               {wireGuards{Version: 1, Guards: []wireGuard{{RID: make([]byte, 16), Expires: maxUnix + 1}}}, false},
		"as many as fit":           {wireGuards{Version: 1, Guards: many(maxGuards), Additions: make([]uint64, maxAdditions)}, true},
		"a guard too many":         {wireGuards{Version: 1, Guards: many(maxGuards + 1)}, false},
		"additions too many":       {wireGuards{Version: 1, Additions: make([]uint64, maxAdditions+1)}, false},
		"bad addition":             {wireGuards{Version: 1, Additions: []uint64{maxUnix + 1}}, false},
	} {
		b, err := strictcbor.Marshal(test.w)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > MaxGuardStateSize {
			t.Fatalf("%s: %d bytes", name, len(b))
		}
		_, err = LoadGuards(b, publicRules(), start())
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := LoadGuards(make([]byte, MaxGuardStateSize+1), publicRules(), start()); !errors.Is(err, ErrGuardState) {
		t.Errorf("too long: %v", err)
	}
}

// TestTimesFromAWrongClockAreBroughtBack: a clock that ran years ahead must not
// keep a guard for ever or block new ones.
func TestTimesFromAWrongClockAreBroughtBack(t *testing.T) {
	p := publicRules()
	future := start().Add(10 * 365 * 24 * time.Hour)
	g := NewGuards(p, future)
	s := selector(t, apart(5, guardFlag), p)
	if _, err := g.Update(future, seeded(1), s); err != nil {
		t.Fatal(err)
	}
	back, err := LoadGuards(g.Encode(), p, start())
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range back.List(start()) {
		if x.Expires.Sub(start()) > p.GuardLifeMax {
			t.Errorf("a guard stays for %v", x.Expires.Sub(start()))
		}
	}
	later := start().Add(p.GuardNewPer + 25*time.Hour)
	if back.capped(later) {
		t.Error("additions of the future count for ever")
	}
}

// TestGuardsOfTheFirstVersionAreKept: a client that is updated draws no fresh ones.
func TestGuardsOfTheFirstVersionAreKept(t *testing.T) {
	old, err := hex.DecodeString("a3000101838450000000030000000000000000000000001a6a026d8000008450000000070000000000000000000000001a69f690000000" +
		"84500000000d0000000000000000000000001a69ded500000002831a6955b9001a6955b9001a6955b900")
	if err != nil {
		t.Fatal(err)
	}
	g, err := LoadGuards(old, publicRules(), start())
	if err != nil || len(g.List(start())) != 3 {
		t.Fatal(err)
	}
	if samples := stateSamples(t); !bytes.Equal(g.Encode(), samples[1]) {
		t.Error("others came out than went in")
	}
}

func TestGuardStateVectors(t *testing.T) {
	var b strings.Builder
	b.WriteString("# States of a client's guards: none, three new ones, one absent and one last.\n" +
		"# A changed line means that clients lose their guards, unless what was before is read too. Spec: directory §9.\n")
	for i, state := range stateSamples(t) {
		fmt.Fprintf(&b, "state_%d = %s\n", i, hex.EncodeToString(state))
	}
	path := filepath.Join("testdata", "vectors", "guards.txt")
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
		t.Error("the bytes changed")
	}
}

// TestTestnetBackOffIsShort: the preset scales what a user would wait for.
func TestTestnetBackOffIsShort(t *testing.T) {
	st := newStage(t, genesis.Testnet())
	g := st.list()
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		st.g.LinkUp(st.now, g[1])
		st.g.LinkFailed(st.now, g[0])
		if next, _ := st.g.NextRetry(st.now); next.Sub(st.now) != want*time.Second {
			t.Errorf("%v, wanted %d s", next.Sub(st.now), want)
		}
	}
}
