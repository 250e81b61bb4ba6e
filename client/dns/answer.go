// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
)

// task is what an exit must be asked: a name, or else an address.
type task struct {
	name string
	addr netip.Addr
	kind dnsmessage.Type
}

// local answers what needs nobody; true: with code and records. Else t is to be
// looked up.
//
// Spec: product §4.4 (DNS-1 to DNS-3).
func (s *Server) local(client netip.Addr, q *query) (code dnsmessage.RCode, records []record, t task, done bool) {
	const (
		ok             = dnsmessage.RCodeSuccess
		notFound       = dnsmessage.RCodeNameError
		notImplemented = dnsmessage.RCodeNotImplemented
	)
	if q.fault != 0 {
		return q.fault, nil, t, true
	}
	if q.question.Class != dnsmessage.ClassINET {
		return notImplemented, nil, t, true
	}
	asked := q.question.Type
	addresses := asked == dnsmessage.TypeA || asked == dnsmessage.TypeAAAA
	if q.question.Name.String() == "." { // it exists, and has no addresses
		if addresses {
			return ok, nil, t, true
		}
		return notImplemented, nil, t, true
	}
	name, kind := proxy.ClassifyName(q.question.Name.String())
	switch kind {
	case proxy.NameOnion, proxy.NameAlt, proxy.NameLocal, proxy.NameSingle, proxy.NameInvalid, proxy.NameServiceBad:
		if r, refused := proxy.RefuseName(name, s.cfg.Testnet); refused && s.cfg.Refused != nil && kind != proxy.NameInvalid {
			s.cfg.Refused(r)
		}
		return notFound, nil, t, true
	case proxy.NameLocalhost:
		switch asked {
		case dnsmessage.TypeA:
			return ok, []record{{addr: netip.AddrFrom4([4]byte{127, 0, 0, 1})}}, t, true
		case dnsmessage.TypeAAAA:
			return ok, []record{{addr: netip.IPv6Loopback()}}, t, true
		}
		return notImplemented, nil, t, true
	case proxy.NameService:
		if s.cfg.Automap == nil || len(*s.mapping.Load()) == 0 {
			return notFound, nil, t, true
		}
		switch asked {
		case dnsmessage.TypeA:
			addr, mapped := s.cfg.Automap.Map(*s.mapping.Load(), client, name, time.Now())
			if !mapped {
				return dnsmessage.RCodeServerFailure, nil, t, true
			}
			return ok, []record{{addr: addr}}, t, true
		case dnsmessage.TypeAAAA:
			return ok, nil, t, true
		}
		return notImplemented, nil, t, true
	}
	if addresses {
		return 0, nil, task{name: name, kind: asked}, false
	}
	addr, isAddr := parseReverse(name)
	if asked != dnsmessage.TypePTR || !isAddr {
		return notImplemented, nil, t, true
	}
	switch {
	case addr.IsLoopback():
		return ok, []record{{name: "localhost"}}, t, true
	case proxy.Mapped(addr):
		if name, found := s.mappedName(client, addr); found {
			return ok, []record{{name: name}}, t, true
		}
		return notFound, nil, t, true
	case !proxy.Public(addr): // an exit's network has other hosts there, in a testnet too
		return notFound, nil, t, true
	}
	return 0, nil, task{addr: addr, kind: asked}, false
}

func (s *Server) mappedName(client, addr netip.Addr) (string, bool) {
	if s.cfg.Automap == nil {
		return "", false
	}
	now := time.Now()
	for _, listener := range *s.mapping.Load() {
		if name, ok := s.cfg.Automap.Name(listener, client, addr, now); ok {
			return name, true
		}
	}
	return "", false
}

// lookUp asks an exit.
//
// Spec: product §4.4 (DNS-3), §4.5 (ISO-1).
func (s *Server) lookUp(ctx context.Context, client netip.Addr, t task) (dnsmessage.RCode, []record) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.LookupTimeout)
	defer cancel()
	iso := proxy.ListenerKey(s.cfg.Name, client)
	if t.addr.IsValid() {
		s.count.names.Add(1)
		names, err := s.cfg.Resolver.ResolveAddr(ctx, iso, t.addr)
		if err != nil {
			return codeOf(err), nil
		}
		var records []record
		for _, name := range names {
			if name, kind := proxy.ClassifyName(name); kind == proxy.NameOrdinary || s.cfg.Testnet && kind == proxy.NameLocalhost {
				records = append(records, record{name: name})
			}
		}
		if len(records) == 0 {
			return dnsmessage.RCodeNameError, nil
		}
		return dnsmessage.RCodeSuccess, records
	}
	answer, err := s.resolve(ctx, iso, t.name)
	if err != nil {
		return codeOf(err), nil
	}
	return dnsmessage.RCodeSuccess, s.chosen(answer.Addrs, t.kind)
}

// flight is a look-up of a name that several queries wait for.
type flight struct {
	done   chan struct{}
	answer proxy.Answer
	err    error // valid once done is closed
}

type flightKey struct {
	iso  proxy.Isolation
	name string
}

var errGone = errors.New("dns: the look-up that was waited for ended without an answer")

// resolve asks an exit for both families at once: programs ask for them in two
// queries, and the second shares the look-up of the first while that is under
// way. Only one isolation key is ever served by it.
func (s *Server) resolve(ctx context.Context, iso proxy.Isolation, name string) (proxy.Answer, error) {
	key := flightKey{iso, name}
	s.mu.Lock()
	f, joined := s.flights[key]
	if !joined {
		f = &flight{done: make(chan struct{}), err: errGone}
		s.flights[key] = f
	}
	s.mu.Unlock()
	if joined {
		select {
		case <-f.done:
			return f.answer, f.err
		case <-ctx.Done():
			return proxy.Answer{}, ctx.Err()
		}
	}
	defer func() { // also when the Resolver panics
		s.mu.Lock()
		delete(s.flights, key)
		s.mu.Unlock()
		close(f.done)
	}()
	s.count.names.Add(1)
	f.answer, f.err = s.cfg.Resolver.Resolve(ctx, iso, name)
	return f.answer, f.err
}

// chosen takes the addresses of one family out of an answer. Private ones go: an
// exit that gives them points programs at the user's own network.
func (s *Server) chosen(addrs []netip.Addr, kind dnsmessage.Type) []record {
	now := time.Now()
	var records []record
	for _, addr := range addrs {
		addr = addr.Unmap().WithZone("")
		if !addr.IsValid() || proxy.Mapped(addr) || !s.cfg.Testnet && !proxy.Public(addr) {
			continue
		}
		if s.cfg.Lookups != nil {
			s.cfg.Lookups.Add(addr, now)
		}
		if r := (record{addr: addr}); addr.Is4() == (kind == dnsmessage.TypeA) && !slices.Contains(records, r) {
			records = append(records, r)
		}
	}
	return records
}

// codeOf classifies an error of a Resolver.
func codeOf(err error) dnsmessage.RCode {
	var r interface{ Reason() string }
	if errors.As(err, &r) && r.Reason() == "name_not_found" {
		return dnsmessage.RCodeNameError
	}
	return dnsmessage.RCodeServerFailure
}
