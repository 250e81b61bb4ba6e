// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"chive/directory/record"
	"chive/internal/redact"
)

// resolveTimeout bounds one question to the resolver. Spec: security B17.
const resolveTimeout = 5 * time.Second

// Resolve returns the addresses of a name, IPv4 first, at most four of each
// version, and how long they hold: always AddrTTL. Addresses that are never
// dialled are left out. The text of an address gives that address.
//
// It waits five seconds at most, or until ctx or the circuit ends. Errors are of
// type Error: ReasonPolicy when the exit permits nothing at all or no address is
// left, ReasonUnresolvable, ReasonTimeout, ReasonBusy.
//
// Spec: protocol §6, security B17.
func (c *Circuit) Resolve(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	e := c.exit
	if err := e.servesNames(); err != nil {
		return nil, 0, err
	}
	d, err := e.parseHost(host)
	if err != nil {
		return nil, 0, err
	}
	addrs := []netip.Addr{d.addr}
	if d.name != "" {
		a, err := c.ask(ctx, question{name: d.name})
		if err != nil {
			return nil, 0, err
		}
		addrs = slices.Clone(a.addrs)
	}
	addrs = slices.DeleteFunc(addrs, func(a netip.Addr) bool { return e.judge(netip.AddrPortFrom(a, 0)) != public })
	if len(addrs) == 0 {
		return nil, 0, e.count.notPublic()
	}
	return addrs, AddrTTL, nil
}

// ResolveAddr returns the names of an address, at most four, and how long they
// hold: always NameTTL. An address that is never dialled is refused unasked, so
// that the exit's own network stays unknown. Waits and errors as Resolve.
//
// Spec: protocol §6, security B17.
func (c *Circuit) ResolveAddr(ctx context.Context, addr netip.Addr) ([]string, time.Duration, error) {
	e := c.exit
	if err := e.servesNames(); err != nil {
		return nil, 0, err
	}
	if e.judge(netip.AddrPortFrom(addr, 0)) != public {
		return nil, 0, e.count.notPublic()
	}
	a, err := c.ask(ctx, question{addr: unwrap(addr)})
	if err != nil {
		return nil, 0, err
	}
	return slices.Clone(a.names), NameTTL, nil
}

// servesNames refuses look-ups at an exit that permits nothing.
func (e *Exit) servesNames() error {
	p := e.policy.Load()
	if !p.permitsSome(record.TCP, 0) && !p.permitsSome(record.UDP, 0) {
		return e.count.denied()
	}
	return nil
}

// ask answers from the cache or asks the resolver. Error: ReasonUnresolvable if
// there is nothing, also from the cache.
func (c *Circuit) ask(ctx context.Context, q question) (answer, error) {
	e := c.exit
	a, ok := e.names.get(q, time.Now())
	if ok {
		e.count.cached.Add(1)
	} else {
		var err error
		if a, err = c.askResolver(ctx, q); err != nil {
			return answer{}, err
		}
	}
	if len(a.addrs)+len(a.names) == 0 {
		return answer{}, Error{ReasonUnresolvable}
	}
	return a, nil
}

// askResolver puts the question and keeps the answer. A name that does not exist
// is an empty answer, not an error.
func (c *Circuit) askResolver(ctx context.Context, q question) (answer, error) {
	e := c.exit
	if err := c.take(lookups); err != nil {
		return answer{}, err
	}
	defer c.give(lookups)
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	under := &stop{cancel}
	c.enter(under)
	defer c.leave(under)

	var a answer
	var err error
	ttl := AddrTTL
	if q.name != "" {
		var addrs []netip.Addr
		addrs, err = e.net.LookupAddrs(ctx, q.name)
		a.addrs = cleanAddrs(addrs)
	} else {
		var names []string
		names, err = e.net.LookupNames(ctx, q.addr)
		a.names = cleanNames(names)
		ttl = NameTTL
	}
	missing := redact.Classify(err) == redact.NameNotFound
	if missing {
		a, ttl, err = answer{}, AddrTTL, nil
	}
	reason := ReasonOf(err)
	if missing {
		reason = ReasonUnresolvable
	}
	e.count.lookups[reason].Add(1)
	if err != nil {
		return answer{}, Error{reason}
	}
	e.names.put(q, a, time.Now(), ttl)
	return a, nil
}

// cleanAddrs brings an answer into its one form: unmapped, IPv4 first, each
// once, a few of each version.
func cleanAddrs(addrs []netip.Addr) []netip.Addr {
	var four, six []netip.Addr
	for _, a := range addrs {
		a = a.Unmap()
		list := &six
		if a.Is4() {
			list = &four
		}
		if a.IsValid() && len(*list) < maxPerFamily && !slices.Contains(*list, a) {
			*list = append(*list, a)
		}
	}
	return append(four, six...)
}

// cleanNames keeps what are host names, each once.
func cleanNames(names []string) (out []string) {
	for _, n := range names {
		name, ok := parseName(n)
		if ok && len(out) < maxNames && !slices.Contains(out, name) {
			out = append(out, strings.Clone(name))
		}
	}
	return out
}
