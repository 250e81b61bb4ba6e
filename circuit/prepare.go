// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"io"

	"chive/circuit/cell"
	"chive/circuit/handshake"
)

// Prepared is the handshake with a relay that is to become a hop. It needs no
// circuit, so that it can be made while the hop before is awaited. It serves one
// ExtendPrepared.
type Prepared struct {
	target Target
	hs     *handshake.Client // nil once spent
	create []byte
}

// Prepare begins a handshake with t. random feeds it.
func Prepare(random io.Reader, t Target) (*Prepared, error) {
	cm := features.encode()
	hs, create, err := handshake.Start(random, t.RID, t.Onion, &cm)
	if err != nil {
		return nil, err
	}
	return &Prepared{target: t, hs: hs, create: create}, nil
}

// For reports whether p is a handshake with t's relay under t's onion key.
func (p *Prepared) For(t Target) bool {
	return p.hs != nil && p.target.RID == t.RID && p.target.Onion == t.Onion
}

// Wipe forgets the handshake's secrets as far as Go allows, unless it is spent.
func (p *Prepared) Wipe() {
	if p.hs != nil {
		p.hs.Wipe()
		p.hs = nil
	}
}

// ExtendPrepared is Extend with a handshake made ahead. Only success spends p; then
// its secrets are the circuit's.
func (o *Origin) ExtendPrepared(p *Prepared) error {
	if p.hs == nil || !o.extensible() {
		return ErrState
	}
	if o.hops == 0 {
		if err := cell.PutHandshake(o.raw(), cell.Create, p.create); err != nil {
			return err
		}
	} else {
		addrs := p.target.Addrs[:min(len(p.target.Addrs), cell.MaxLinkSpecifiers)]
		body, err := cell.Extend{RID: p.target.RID, Addrs: addrs, Handshake: p.create}.Append(nil)
		if err != nil {
			return ErrState
		}
		if err := o.sendEarly(cell.TypeExtend, 0, body); err != nil {
			return err
		}
	}
	o.pending, p.hs = p.hs, nil
	return nil
}

// extensible reports whether a hop can be added now.
func (o *Origin) extensible() bool {
	return o.pending == nil && !o.gone && o.hops < MaxHops && len(o.table) == 0
}
