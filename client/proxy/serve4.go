// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"context"
	"net/netip"
	"time"
)

// serveSOCKS4 serves one SOCKS4 or SOCKS4a request.
//
// Spec: product §4.1 (SOCKS-7, SOCKS-8).
func (s *Server) serveSOCKS4(c *session) {
	r, err := decode(&c.in, maxSOCKS4, parseSOCKS4)
	if err == errMalformed || err == errFull {
		s.count.refused.Add(1)
		c.finish(appendSOCKS4Reply(nil, socks4Refused, netip.Addr{}))
		return
	}
	if err != nil {
		s.count.refused.Add(1)
		return
	}
	c.requested()
	cred := credentials{user: r.user}
	var up Conn
	var ip netip.Addr
	if cred.reserved() {
		err = refusal(reasonBadRequest)
	} else {
		switch iso := c.key(cred); r.command {
		case commandConnect:
			var t Target
			if t, err = s.admit(c.clientAddr, r.to); err == nil {
				up, err = c.connect(iso, t)
			}
		case commandResolve:
			ip, err = s.resolve(c, iso, r.to)
			if err == nil && !ip.Is4() {
				err = refusal(reasonNameNotFound)
			}
		default:
			err = refusal(reasonUnknownCommand)
		}
	}
	switch {
	case err != nil:
		s.count.failed.Add(1)
		c.finish(appendSOCKS4Reply(nil, socks4Refused, netip.Addr{}))
	case up == nil:
		c.finish(appendSOCKS4Reply(nil, socks4Granted, ip))
	case c.write(appendSOCKS4Reply(nil, socks4Granted, netip.Addr{})) != nil:
		c.abort()
	default:
		c.tunnel(up, nil)
	}
}

// resolve answers RESOLVE: a literal is its own answer, a service's name gets a
// mapped address, any other is asked for, and IPv4 is preferred.
//
// Spec: product §4.1 (SOCKS-8), §4.4 (DNS-2).
func (s *Server) resolve(c *session, iso Isolation, a address) (netip.Addr, error) {
	ip, name, err := a.host()
	if err != nil || name == "" {
		if err != nil {
			s.tellRefused(RefusedResolve, a, err)
		}
		return ip, err
	}
	s.count.names.Add(1)
	if _, kind := ClassifyName(name); kind == NameService && !s.cfg.NoAutomap {
		ip, ok := s.automap.Map([]string{s.cfg.Name}, c.clientAddr, name, time.Now())
		if !ok {
			return netip.Addr{}, refusal(reasonCircuitFailed)
		}
		return ip, nil
	}
	if err := admitName(name, s.cfg.Testnet); err != nil {
		s.tellRefused(RefusedResolve, a, err)
		return netip.Addr{}, err
	}
	iso = s.cfg.narrowed(iso, name, 0)
	ctx, cancel := context.WithTimeout(c.ctx, s.limits.DialTimeout)
	defer cancel()
	answer, err := s.cfg.Dialer.Resolve(ctx, iso, name)
	if err != nil {
		return netip.Addr{}, err
	}
	return s.chooseAnswer(answer)
}
