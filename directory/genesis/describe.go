// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"chive/directory/record"
)

// Line is one line of a description for people.
type Line struct {
	Name  string
	Value string
	Note  string // empty, or what the value would be in the public preset
}

// Describe tells people what a document says: what network it is, who founded it,
// and every parameter. It names no founder's keys or addresses.
func (d *Document) Describe() []Line {
	kind := "public network"
	if d.Testnet {
		kind = "testnet"
	}
	var guards, exits int
	networks, families := map[netip.Prefix]bool{}, map[string]bool{}
	for _, f := range d.Founders {
		if f.Roles&record.RoleGuard != 0 {
			guards++
		}
		if f.Roles&record.RoleExit != 0 {
			exits++
		}
		if len(f.Family) > 0 {
			families[string(f.Family)] = true
		}
		for _, a := range f.Addresses {
			networks[record.Network(a.Addr())] = true
		}
	}
	signatures := "complete"
	if n := len(d.Missing()); n > 0 {
		signatures = fmt.Sprintf("%d missing", n)
	}
	out := []Line{
		{Name: "name", Value: d.Name},
		{Name: "network id", Value: hex.EncodeToString(d.nid[:])},
		{Name: "kind", Value: kind},
		{Name: "begins", Value: d.Time.Format(time.RFC3339)},
		{Name: "founders", Value: fmt.Sprintf("%d: %d guards, %d exits, in %d networks and %d families", len(d.Founders), guards, exits, len(networks), len(families))},
		{Name: "signatures", Value: signatures},
	}
	if d.AsmapDigest != nil {
		out = append(out, Line{Name: "asmap digest", Value: hex.EncodeToString(d.AsmapDigest[:])})
	}
	if d.Predecessor != nil {
		out = append(out, Line{Name: "predecessor", Value: hex.EncodeToString(d.Predecessor.NetworkID[:])})
		out = append(out, Line{Name: "ages taken over", Value: fmt.Sprint(len(d.Heirs))})
	}
	public := Public()
	base := public.sections()
	for i, rows := range d.Params.sections() {
		for j, r := range rows {
			l := Line{Name: r.name, Value: r.text()}
			if r.number() != base[i][j].number() {
				l.Note = base[i][j].text()
			}
			out = append(out, l)
		}
	}
	return out
}
