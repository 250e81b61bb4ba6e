// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"net/netip"

	"chive/directory"
	"chive/directory/record"
	"chive/link"
)

// maxProbing bounds the probes under way: those of the machine's turn and of the
// newcomers on their way through it. One beyond it is not answered.
const maxProbing = 128

// probe dials a relay at each address and has the identity proven there. The loop
// calls it and does not wait.
//
// Each dial is a fresh link, made with a throw-away key: nothing that is up answers for
// an address, whoever is probed cannot tell by whom, and the links that carry circuits
// between the two stay, of which a pool keeps only the newest of a direction.
// Spec: directory §6 (one epoch, 1), §7 (2).
func (d *replica) probe(e directory.Probe) {
	select {
	case d.probing <- struct{}{}:
	default:
		return
	}
	d.tasks.Go(func() {
		ok := d.reached(e.RID, e.Addresses)
		<-d.probing
		d.send(input{event: directory.ProbeDone{ID: e.ID, OK: ok}})
	})
}

// reached reports whether the relay is there at every address.
func (d *replica) reached(rid record.RID, addrs []netip.AddrPort) bool {
	if len(addrs) == 0 || len(d.r.permitted(addrs)) != len(addrs) {
		return false
	}
	// An answer counts within a fifth of an epoch.
	ctx, cancel := context.WithTimeout(d.ctx, min(onwardTimeout, d.r.genesis.Params.EpochLen/5))
	defer cancel()
	cfg := d.r.linkConfig()
	cfg.Identity = nil
	cfg.Verify = d.r.expect(rid)
	for _, a := range addrs {
		l, err := link.Dial(ctx, d.r.cfg.Transport, a, cfg)
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}

// expect accepts one relay's identity.
func (r *Relay) expect(rid record.RID) func(ed25519.PublicKey) error {
	return func(id ed25519.PublicKey) error {
		if record.NewRID(r.nid, id) != rid {
			return errOtherRelay
		}
		return nil
	}
}
