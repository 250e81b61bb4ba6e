// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"net"
	"net/netip"
	"slices"

	"chive/client/proxy"
)

// plan is a front as it is to be: what is kept of the one that is served, and what was
// opened for it.
type plan struct {
	asked FrontOptions
	socks []planned
	dns   *dnsDoor
	page  *door
	note  string // what became of the page
	// pageIsNew says that page was opened for the plan.
	pageIsNew bool
	opened    []func() // close what was opened
}

// planned is a door of a plan, and what is to be said of it.
type planned struct {
	door    *door
	name    string
	options proxy.Options
	isNew   bool
}

// same reports whether both are the same door, and the same is said of it.
func (p planned) same(q planned) bool { return p.door == q.door && !q.differs(p.name, p.options) }

// differs reports whether something else is to be said than that name and those options.
func (p planned) differs(name string, o proxy.Options) bool {
	n := p.options
	return p.name != name || n.IsolateDestination != o.IsolateDestination || n.IsolatePort != o.IsolatePort || n.ExtendedErrors != o.ExtendedErrors ||
		n.PreferNoAuth != o.PreferNoAuth || n.RefuseIP != o.RefuseIP || n.NoAutomap != o.NoAutomap
}

// change prepares a front as o has it. Listeners whose address stays are kept, with
// other options if they have any; others are opened before anything is closed. commit
// puts the plan into force and drop undoes it; nil and nil: nothing changes. On a fault,
// which names the address, nothing has changed.
//
// Spec: product CFG-4.
func (f *Front) change(o FrontOptions) (commit, drop func(), err error) {
	if err := o.Socks.Check(); err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	now := plan{asked: f.asked, dns: f.dns, page: f.page, note: f.note}
	for _, d := range f.socks {
		now.socks = append(now.socks, planned{door: d, name: d.Name, options: d.Options})
	}
	f.mu.Unlock()
	next, err := now.next(o)
	if err != nil {
		next.drop()
		return nil, nil, err
	}
	if slices.EqualFunc(now.socks, next.socks, planned.same) && now.dns == next.dns && now.page == next.page && now.note == next.note {
		return nil, nil, nil
	}
	return func() { f.become(next) }, next.drop, nil
}

// next opens what o has and the plan has not. What it has opened is in the plan that it
// returns, on a fault as well.
func (p *plan) next(o FrontOptions) (*plan, error) {
	out := &plan{asked: o, dns: p.dns, page: p.page, note: p.note}
	left := slices.Clone(p.socks)
	for _, w := range o.Socks.wanted() {
		if at := slices.IndexFunc(left, func(one planned) bool { return one.door.place == w.place }); at >= 0 {
			d := left[at].door
			l := w.of(d.Listener.Listener)
			out.socks = append(out.socks, planned{door: d, name: l.Name, options: l.Options})
			left = slices.Delete(left, at, at+1)
			continue
		}
		l, err := w.open()
		if err != nil {
			return out, p.own(w.place, err)
		}
		d := newDoor(l, w.place)
		out.socks = append(out.socks, planned{door: d, name: l.Name, options: l.Options, isNew: true})
		out.opened = append(out.opened, d.close)
	}
	if o.DNS != p.asked.DNS {
		out.dns = nil
		if o.DNS != "" {
			d, err := listenDNS(o.DNS)
			if err != nil {
				return out, p.own(o.DNS, err)
			}
			out.dns = d
			out.opened = append(out.opened, d.close)
		}
	}
	switch {
	case o.Web == "":
		out.page, out.note = nil, ""
	case o.Web != p.asked.Web || p.page == nil: // one that broke, or had no port, is tried again
		l, err := listenLocal("--web", o.Web, false)
		switch {
		case err == nil:
			out.page, out.note, out.pageIsNew = newDoor(Listener{Listener: l}, o.Web), "", true
			out.opened = append(out.opened, out.page.close)
		case o.Web != p.asked.Web || p.note == "" || !isTaken(err): // the note says it already
			return out, p.own(o.Web, err)
		}
	}
	return out, nil
}

// own says it when it is this process that has the port of a place which cannot be
// opened, at an address that it will not have afterwards.
func (p *plan) own(place string, err error) error {
	var f *Fault
	a, wrong := netip.ParseAddrPort(place)
	if !errors.As(err, &f) || f.Code != "port_in_use" || wrong != nil {
		return err
	}
	var has []net.Addr
	for _, one := range p.socks {
		has = append(has, one.door.Addr())
	}
	if p.dns != nil {
		has = append(has, p.dns.streams.Addr())
	}
	if p.page != nil {
		has = append(has, p.page.Addr())
	}
	for _, at := range has {
		if t, isTCP := at.(*net.TCPAddr); isTCP && t.AddrPort().Port() == a.Port() {
			return fault(Usage, "port_in_use", "Start chive again, which frees it first; or name another port.", "The port of %s is one that this process itself listens at", place)
		}
	}
	return err
}

// drop closes what was opened for the plan.
func (p *plan) drop() {
	for _, undo := range p.opened {
		undo()
	}
}

// become puts a plan into force. Programs that came in by a listener which is closed now
// stay until they leave.
func (f *Front) become(p *plan) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		p.drop()
		return
	}
	gone, dns, page := f.socks, f.dns, f.page
	f.socks, f.dns, f.asked, f.note = nil, p.dns, p.asked, p.note
	if p.pageIsNew || p.page == nil { // else it stays, if it has not broken meanwhile
		f.page = p.page
	}
	for _, one := range p.socks {
		d := one.door
		gone = slices.DeleteFunc(slices.Clone(gone), func(old *door) bool { return old == d })
		other := one.isNew || one.differs(d.Name, d.Options)
		d.Name, d.Options = one.name, one.options
		f.socks = append(f.socks, d)
		if other && f.serve != nil {
			f.startProxyLocked(d)
		}
	}
	for _, d := range gone {
		d.close()
	}
	if dns != f.dns {
		if dns != nil {
			if dns.end != nil {
				dns.end() // first, so that closing it is no fault
			}
			dns.close()
		}
		if f.dns != nil && f.serve != nil {
			f.startDNSLocked(f.dns)
		}
	} else if f.dns != nil && f.dns.server != nil {
		f.dns.server.SetListeners(f.mappingLocked())
	}
	if page != f.page {
		if page != nil {
			page.close()
			if page.end != nil {
				page.end()
			}
		}
		if f.page != nil && f.pages != nil {
			f.pages.start(f.page)
		}
	}
}
