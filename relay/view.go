// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"net/netip"

	"chive/directory"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/internal/redact"
)

// shown is the newest snapshot with what is derived from it once.
type shown struct {
	snapshot *snapshot.Snapshot
	links    map[netip.AddrPort]struct{} // where relays accept links
}

// View returns the newest final snapshot that this relay holds: its own, or, while it
// is not listed or far behind, the one that it has verified as a client. It is never
// nil. An older one stays valid for whoever holds it.
func (r *Relay) View() snapshot.View { return r.shown.Load().snapshot }

// Remembers reports whether View is out of what this relay has stored, or learnt since. In
// the first moments of a run it is the genesis document's, which says nothing of a relay
// that came later.
func (r *Relay) Remembers() bool { return r.remembers.Load() }

// IsRelay reports whether a relay of the newest table has its link at an address. No
// client may reach one through an exit.
func (r *Relay) IsRelay(a netip.AddrPort) bool {
	_, is := r.shown.Load().links[netip.AddrPortFrom(a.Addr().Unmap(), a.Port())]
	return is
}

// Listed is closed once a final snapshot lists this relay.
func (r *Relay) Listed() <-chan struct{} { return r.onList }

// show makes a snapshot the one that everybody reads.
func (r *Relay) show(s *snapshot.Snapshot) {
	if old := r.shown.Load(); old != nil && old.snapshot == s {
		return
	}
	table := s.Table()
	n := &shown{snapshot: s, links: make(map[netip.AddrPort]struct{}, table.Len())}
	for i := range table.Len() {
		for _, a := range table.At(i).Addresses {
			if a.IsValid() {
				n.links[a] = struct{}{}
			}
		}
	}
	r.shown.Store(n)
	if _, listed := table.Index(r.rid); listed {
		r.onListOnce.Do(func() { close(r.onList) })
	}
}

// listing is what is known of one's own place in the table.
type listing uint8

const (
	listingUnknown listing = iota
	listingAbsent
	listingPresent
)

// viewed takes a new final snapshot: the directory server and everybody who reads the
// table go on with it.
func (d *replica) viewed(v directory.View) {
	final := dirsync.Final{State: v.State, Certificate: v.Certificate, Steps: v.Steps}
	d.joiner.own.Store(&final)
	d.r.final.Store(&final)
	server := d.r.serve.Load()
	if d.past != nil { // after a restart: with its parent, what clients are to be given is known
		if p, held := d.machine.Parent(); held {
			server = server.With(dirsync.Final{State: p.State, Certificate: p.Certificate, Steps: p.Steps})
		}
	}
	server = server.With(final)
	if d.past != nil {
		server, d.past = server.WithPast(d.past.data, d.past.certificates), nil
	}
	d.r.serve.Store(server)
	if v.Certificate != nil {
		now, _ := d.clock.now()
		d.memory.put(now, Write{Bucket: viewBucket, Key: pastKey, Value: server.Past()}, 0, false)
	}
	d.facts = factsOf(d.r.genesis.Params, v.State, d.r.rid)
	d.show()
}

// show brings the newest snapshot to everybody, and joins when it does not list us.
func (d *replica) show() {
	s := d.machine.Newest()
	d.r.show(s)
	d.r.remembers.Store(true)
	was := d.listed
	d.listed = listingAbsent
	if _, listed := s.Table().Index(d.r.rid); listed {
		d.listed = listingPresent
	}
	if d.listed == was {
		return
	}
	switch {
	case d.listed == listingAbsent:
		d.own = append(d.own, directory.Join{Voucher: d.r.cfg.Voucher})
		d.r.cfg.Log.Info().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("joining")).Msg("the relay is not on the list and asks to join")
	case was == listingAbsent:
		d.r.cfg.Log.Info().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("listed")).Msg("the relay is on the list")
	}
}

// past is what a directory server knew before a restart.
type past struct {
	data         []byte
	certificates []*vote.Certificate
}

// readPast reads it. Error: the store's.
func readPast(s Store) (*past, error) {
	data, err := get(s, viewBucket, pastKey)
	if err != nil {
		return nil, err
	}
	p := &past{data: data}
	err = s.Each(bucketNames[directory.BucketCert], func(_, value []byte) error {
		if c, err := vote.DecodeCertificate(value); err == nil {
			p.certificates = append(p.certificates, c)
		}
		return nil
	})
	return p, err
}

// addressesOf returns where a relay of a table accepts links.
func addressesOf(t *snapshot.Table, rid record.RID) []netip.AddrPort {
	known, ok := t.Relay(rid)
	if !ok {
		return nil
	}
	var out []netip.AddrPort
	for _, a := range known.Addresses {
		if a.IsValid() {
			out = append(out, a)
		}
	}
	return out
}
