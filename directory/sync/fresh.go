// SPDX-License-Identifier: BSD-3-Clause

package sync

import "chive/directory/genesis"

// Freshness says how a client may use the snapshot that it holds.
type Freshness byte

// Freshness of a snapshot.
const (
	Fresh    Freshness = iota
	Stale              // use it, say so, and try to get a newer one
	Outdated           // same, and say that it is not to be relied on for long
	Refused            // build no new circuits with it
)

// FreshnessOf judges a snapshot that is held, by its epoch and the present one: fresh up
// to twice the network's fresh, since clients fetch only now and then; outdated beyond
// its warn, and refused beyond its refuse. Spec: directory §8 (CHAIN, READY).
func FreshnessOf(p genesis.Params, held, now uint64) Freshness {
	age := now - min(held, now)
	switch {
	case age > uint64(p.Refuse):
		return Refused
	case age <= 2*uint64(p.Fresh):
		return Fresh
	case age > uint64(p.Warn):
		return Outdated
	}
	return Stale
}

// ServedFresh reports whether a snapshot that a source has just given is as fresh as an
// honest one's; if not, others are asked. Spec: directory §8 (CHAIN).
func ServedFresh(p genesis.Params, served, now uint64) bool {
	return now-min(served, now) <= uint64(p.Fresh)
}
