// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"sync"

	"chive/directory/genesis"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/weight"
)

// table is one snapshot as this client uses it. It is immutable and replaced as a
// whole: view and selector never come from two epochs. Circuits keep the one that
// they were chosen from.
type table struct {
	view     snapshot.View
	selector *path.Selector
	params   genesis.Params

	once    sync.Once // for what is seldom needed
	weights [3][]uint64
	totals  [3]uint64
}

func newTable(view snapshot.View, p genesis.Params) *table {
	return &table{view: view, selector: path.NewSelector(view, p), params: p}
}

// weigh computes the weights, once.
func (t *table) weigh() {
	t.once.Do(func() {
		w := weight.Compute(t.view.Table(), t.params, t.view.Day())
		t.weights = [3][]uint64{path.Guard: w.Guard, path.Middle: w.Middle, path.Last: w.Exit}
		for i, all := range t.weights {
			for _, v := range all {
				t.totals[i] += v
			}
		}
	})
}

// middles returns the weights of middle positions, by table index.
func (t *table) middles() []uint64 {
	t.weigh()
	return t.weights[path.Middle]
}

// share returns how much of a position's weight a relay has, from 0 to 1: how often
// it is drawn there before the rules of a path are applied.
func (t *table) share(rid record.RID, at path.Position) float64 {
	t.weigh()
	i, ok := t.view.Table().Index(rid)
	if !ok || t.totals[at] == 0 {
		return 0
	}
	return float64(t.weights[at][i]) / float64(t.totals[at])
}

// eligible returns how many relays a committee could be drawn from, as far as the
// table tells (uptime and penalties are told to relays only), and in how many
// groups these are. Spec: directory §6.
func (t *table) eligible() (relays, groups int) {
	seen := make(map[uint16]bool)
	all := t.view.Table()
	for i := range all.Len() {
		r := all.At(i)
		if r.Flags&snapshot.FlagRunning == 0 || r.Flags&snapshot.FlagProbation != 0 {
			continue
		}
		if r.Flags&snapshot.FlagFounder == 0 && t.view.Day()-int(r.BirthDay) < t.params.CommitteeAge {
			continue
		}
		relays++
		seen[r.Group] = true
	}
	return relays, len(seen)
}

// counts returns what the table lists.
func (t *table) counts() RelayCounts {
	var n RelayCounts
	all := t.view.Table()
	n.Listed = all.Len()
	for i := range all.Len() {
		r := all.At(i)
		if r.Flags&snapshot.FlagRunning == 0 {
			continue
		}
		n.Running++
		if r.Flags&snapshot.FlagGuard != 0 {
			n.Guards++
		}
		if r.Flags&snapshot.FlagExit != 0 {
			n.Exits++
		}
	}
	return n
}

// unmeasured reports whether no running relay was measured.
func (t *table) unmeasured() bool {
	all := t.view.Table()
	for i := range all.Len() {
		if all.At(i).Flags&(snapshot.FlagMeasured|snapshot.FlagRunning) == snapshot.FlagMeasured|snapshot.FlagRunning {
			return false
		}
	}
	return true
}
