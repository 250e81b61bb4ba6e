// SPDX-License-Identifier: BSD-3-Clause

package transition

import (
	"net/netip"
	"slices"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
)

// known is a descriptor with its body digest.
type known struct {
	*record.Descriptor
	body [32]byte
}

// lookUp finds the descriptor behind an op and holds it against relay and digest.
// Error: ErrMissing.
func (w *work) lookUp(rid record.RID, body [16]byte) (known, error) {
	var d *record.Descriptor
	if w.in.Descriptor != nil {
		d = w.in.Descriptor(rid, body)
	}
	if d == nil || record.NewRID(w.nid, d.Identity) != rid {
		return known{}, ErrMissing
	}
	full, err := Body(d)
	if err != nil || [16]byte(full[:16]) != body {
		return known{}, ErrMissing
	}
	return known{d, full}, nil
}

// Body returns the body digest of a descriptor. Errors: record's, for one that no
// relay may publish.
func Body(d *record.Descriptor) ([32]byte, error) {
	payload, err := d.Encode()
	if err != nil {
		return [32]byte{}, err
	}
	return record.BodyDigest(payload)
}

// reachable reports whether a network takes the addresses of a descriptor: without
// the testnet flag all must be public.
func reachable(doc *genesis.Document, d *record.Descriptor) bool {
	return doc.Testnet || !slices.ContainsFunc(d.Addresses, func(a netip.AddrPort) bool { return !record.Public(a.Addr()) })
}

// target returns the bucket that a relay rises to.
func target(p genesis.Params, d *record.Descriptor) uint8 {
	b := snapshot.BucketOf(d.DeclaredRate)
	if p.BWCap > 0 {
		b = min(b, snapshot.BucketOf(uint32(p.BWCap)))
	}
	return b
}

// derive writes what a descriptor says into a leaf, apart from bucket and indices.
func derive(l *snapshot.Leaf, d *record.Descriptor) {
	l.Onion = d.Onion
	l.IPv4, l.IPv6 = placeOf(d.Addresses)
	l.Flags = l.Flags&^(snapshot.Flags(record.AllRoles)|snapshot.FlagIPv6) | snapshot.Flags(d.Roles)
	if l.IPv6.IsValid() {
		l.Flags |= snapshot.FlagIPv6
	}
	l.Protocol = snapshot.Protocol
	if len(d.Versions) > 0 {
		l.Protocol = slices.Max(d.Versions)
	}
}

// wantedBy returns the dictionary values of a leaf's descriptor.
func wantedBy(l *snapshot.Leaf, d *record.Descriptor) wanted {
	want := wanted{group: string(snapshot.GroupOf(l.IPv4, l.IPv6)), policy: string(record.EncodePolicy(d.Policy))}
	if d.Family != nil {
		want.family = string(d.Family.Key)
	}
	return want
}

// recordKeys merges the committee keys of a descriptor into those that are recorded:
// keys of terms that are over go, those of this term and the two after it come, and
// none that is there is replaced. Spec: directory §1 (committee keys), protocol §7
// (TRN-4).
func recordKeys(old, published []record.CommitteeKey, term uint64) []record.CommitteeKey {
	var out []record.CommitteeKey
	for t := term; t < term+record.MaxCommitteeKeyCount; t++ {
		same := func(k record.CommitteeKey) bool { return k.Term == t }
		if i := slices.IndexFunc(old, same); i >= 0 {
			out = append(out, old[i])
		} else if i := slices.IndexFunc(published, same); i >= 0 {
			out = append(out, record.CommitteeKey{Term: t, Key: slices.Clone(published[i].Key)})
		}
	}
	return out
}

// placeOf returns the first address of each IP version.
func placeOf(all []netip.AddrPort) (four, six netip.AddrPort) {
	for _, a := range all {
		switch {
		case a.Addr().Is4() && !four.IsValid():
			four = a
		case a.Addr().Is6() && !six.IsValid():
			six = a
		}
	}
	return four, six
}
