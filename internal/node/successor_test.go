// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"crypto/ed25519"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/relay"
)

func heirKey(n byte) ed25519.PublicKey {
	return ed25519.NewKeyFromSeed(append([]byte{n}, make([]byte, 31)...)).Public().(ed25519.PublicKey)
}

// TestWhatASuccessorTakesOver: ages of who is no founder, as far as they count; and how a
// document differs from what one's own relay holds. Spec: DIR-16.
func TestWhatASuccessorTakesOver(t *testing.T) {
	w := found(t, 1, nil)
	draft, err := readDraft(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	p := genesis.Testnet()
	p.GuardFull = 90
	founders := draft.Founders
	taken := &relay.Succession{
		Predecessor: genesis.Predecessor{NetworkID: [32]byte{1}, Header: [32]byte{2}}, Epoch: 7,
		Heirs: []genesis.Heir{{Identity: heirKey(1), Age: 12}, {Identity: founders[0].Identity, Age: 30}, {Identity: heirKey(2), Age: 200}},
	}
	got := heirs(taken, founders, p)
	if len(got) != 2 || got[0].Age != 90 || got[1].Age != 12 {
		t.Fatalf("%+v", got)
	}
	made := func(change func(plan *genesis.Plan)) *genesis.Document {
		plan := genesis.Plan{
			Name: "second", Testnet: true, Params: &p, Founders: founders, Time: time.Now(), Predecessor: &taken.Predecessor, Heirs: slices.Clone(got),
		}
		change(&plan)
		doc, err := plan.Document()
		if err != nil {
			t.Fatal(err)
		}
		return doc
	}
	if f := compareHeirs(made(func(*genesis.Plan) {}), taken); len(f) != 0 {
		t.Errorf("the same: %v", f)
	}
	for want, change := range map[string]func(p *genesis.Plan){
		"names no predecessor":       func(p *genesis.Plan) { p.Predecessor, p.Heirs = nil, nil },
		"succeeds another network":   func(p *genesis.Plan) { p.Predecessor = &genesis.Predecessor{NetworkID: [32]byte{3}} },
		"another list of it":         func(p *genesis.Plan) { p.Predecessor = &genesis.Predecessor{NetworkID: [32]byte{1}} },
		"12 days of service, and":    func(p *genesis.Plan) { p.Heirs[0].Age = 12 },
		"your list does not name":    func(p *genesis.Plan) { p.Heirs = append(p.Heirs, genesis.Heir{Identity: heirKey(9)}) },
		"leaves out the ages of 1 r": func(p *genesis.Plan) { p.Heirs = p.Heirs[:1] },
	} {
		f := compareHeirs(made(change), taken)
		if len(f) != 1 || !strings.Contains(f[0].Text, want) || f[0].Error == strings.HasPrefix(want, "leaves") {
			t.Errorf("%s: %v", want, f)
		}
	}
}

// TestASuccessorIsMadeOfWhatIsThere, or it is said why not.
func TestASuccessorIsMadeOfWhatIsThere(t *testing.T) {
	w := found(t, 1, nil)
	w.sign(t)
	e := newElder(t, "elder", 12)
	make := func(of Succeeding) (*NetworkInfo, error) {
		return NewSuccessor("second", w.files, true, time.Now(), of, filepath.Join(t.TempDir(), "out"))
	}
	anchor := e.anchor(t, 9, nil)
	info, err := make(Succeeding{From: anchor})
	if err != nil || info.Predecessor == "" || info.Heirs != 0 || len(info.Notes) != 1 {
		t.Errorf("of an anchor: %+v %v", info, err)
	}
	for code, of := range map[string]Succeeding{
		"successor":           {Genesis: w.doc},
		"predecessor_missing": {From: w.states[0].Dir()},
		"no_list":             {From: w.states[0].Dir(), Genesis: w.doc},
		"anchor_is_genesis":   {From: w.doc},
	} {
		_, err := make(of)
		wantFault(t, err, code)
	}
	// Before anybody has signed, as founders are told to compare.
	out := filepath.Join(t.TempDir(), "second")
	if _, err := NewSuccessor("second", w.files, true, time.Now(), Succeeding{From: anchor}, out); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   Succeeding
		last string
		good bool
	}{
		{Succeeding{From: anchor}, "It succeeds the network and list that you named, and takes over 0 ages", true},
		{Succeeding{From: w.states[0].Dir(), Genesis: w.doc}, "It could not be compared with your own list: The relay in", false},
	} {
		_, findings, err := LintSuccessor(out, c.of, time.Now())
		unsigned := func(f Finding) bool { return f.Error && strings.Contains(f.Text, "lacks the signatures") }
		if last := len(findings) - 1; err != nil || last < 1 || !slices.ContainsFunc(findings, unsigned) ||
			!strings.HasPrefix(findings[last].Text, c.last) || findings[last].Good != c.good || findings[last].Error == c.good {
			t.Errorf("%v %v", findings, err)
		}
	}
	if _, findings, err := LintSuccessor(w.doc, Succeeding{From: anchor}, time.Now()); err != nil || !slices.ContainsFunc(findings, func(f Finding) bool { return f.Error }) {
		t.Errorf("%v %v", findings, err)
	}
}
