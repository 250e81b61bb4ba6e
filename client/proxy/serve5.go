// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"context"
	"net/netip"
	"time"
)

// serveSOCKS5 serves one SOCKS5 connection.
//
// Spec: product §4.1 (SOCKS-4 to SOCKS-8).
func (s *Server) serveSOCKS5(c *session) {
	cred, ok := s.negotiate(c)
	if !ok {
		s.count.refused.Add(1)
		return
	}
	r, err := decode(&c.in, maxSOCKS5, parseSOCKS5)
	if err == errMalformed {
		s.count.refused.Add(1)
		c.finish(appendSOCKS5Reply(nil, outcomeOf(reasonBadRequest).socks5, address{}))
		return
	}
	if err != nil {
		s.count.refused.Add(1)
		return
	}
	c.requested()
	iso := c.key(cred)
	switch {
	case r.unknown:
		err = refusal(reasonAddressType)
	case r.command == commandConnect:
		err = s.connect5(c, iso, r.to)
	case r.command == commandUDPAssociate:
		err = s.associate(c, iso, r.to.port)
	case r.command == commandResolve:
		var ip netip.Addr
		if ip, err = s.resolve(c, iso, r.to); err == nil {
			c.finish(appendSOCKS5Reply(nil, 0, address{ip: ip}))
		}
	case r.command == commandResolvePTR:
		var name string
		if name, err = s.resolvePTR(c, iso, r.to); err == nil {
			c.finish(appendSOCKS5Reply(nil, 0, address{name: name}))
		}
	default:
		err = refusal(reasonUnknownCommand)
	}
	if err != nil {
		s.count.failed.Add(1)
		c.finish(appendSOCKS5Reply(nil, outcomeFor(err).socks5Code(s.cfg.ExtendedErrors), address{}))
	}
}

// connect5 serves CONNECT; an error is one to be answered.
func (s *Server) connect5(c *session, iso Isolation, to address) error {
	t, err := s.admit(c.clientAddr, to)
	if err != nil {
		return err
	}
	up, err := c.connect(iso, t)
	if err != nil {
		return err
	}
	if c.write(appendSOCKS5Reply(nil, 0, address{})) != nil {
		c.abort()
		return nil
	}
	c.tunnel(up, nil)
	return nil
}

// negotiate chooses the method and takes the credentials; false when the
// connection was or must be closed. Credentials sent although none were asked
// for count too.
//
// Spec: product §4.1 (SOCKS-4, SOCKS-5).
func (s *Server) negotiate(c *session) (credentials, bool) {
	methods, err := decode(&c.in, maxGreeting, parseGreeting)
	if err != nil {
		return credentials{}, false
	}
	method := chooseMethod(methods, s.cfg.PreferNoAuth)
	if method == methodRefused {
		c.finish([]byte{socks5Version, method})
		return credentials{}, false
	}
	if c.write([]byte{socks5Version, method}) != nil {
		return credentials{}, false
	}
	if method == methodNone {
		for len(c.in.buffered()) == 0 {
			if c.in.fill(maxSOCKS5) != nil {
				return credentials{}, false
			}
		}
		if c.in.buffered()[0] != userPassVersion {
			return credentials{}, true
		}
	}
	cred, err := decode(&c.in, maxUserPass, parseUserPass)
	if err == errMalformed || err == nil && cred.reserved() {
		c.finish([]byte{userPassVersion, userPassRefused})
		return credentials{}, false
	}
	if err != nil || c.write([]byte{userPassVersion, userPassOK}) != nil {
		return credentials{}, false
	}
	return cred, true
}

func chooseMethod(offered []byte, preferNone bool) byte {
	none, userPass := bytes.IndexByte(offered, methodNone) >= 0, bytes.IndexByte(offered, methodUserPass) >= 0
	switch {
	case none && (preferNone || !userPass):
		return methodNone
	case userPass:
		return methodUserPass
	}
	return methodRefused
}

// chooseAnswer remembers what was found, and picks the address that RESOLVE
// gives: IPv4 when there is one.
func (s *Server) chooseAnswer(answer Answer) (netip.Addr, error) {
	addrs := s.admitAnswer(answer.Addrs)
	if len(addrs) == 0 {
		return netip.Addr{}, refusal(reasonNameNotFound)
	}
	chosen, now := addrs[0], time.Now()
	for _, ip := range addrs {
		s.lookups.Add(ip, now)
		if ip.Is4() && !chosen.Is4() {
			chosen = ip
		}
	}
	return chosen, nil
}

// resolvePTR answers RESOLVE_PTR, for an address or the text of one.
func (s *Server) resolvePTR(c *session, iso Isolation, a address) (string, error) {
	ip, _, err := a.host()
	if err != nil || !ip.IsValid() {
		return "", refusal(reasonAddressType)
	}
	if Mapped(ip) {
		return s.mappedName(c.clientAddr, ip)
	}
	if isPrivate(ip) && !s.cfg.Testnet {
		err := refusal(reasonPrivateAddress)
		s.tellRefused(RefusedResolve, a, err)
		return "", err
	}
	iso = s.cfg.narrowed(iso, ip.String(), 0)
	ctx, cancel := context.WithTimeout(c.ctx, s.limits.DialTimeout)
	defer cancel()
	names, err := s.cfg.Dialer.ResolveAddr(ctx, iso, ip)
	if err != nil {
		return "", err
	}
	for _, name := range names {
		if name, ok := normalName(name); ok {
			return name, nil
		}
	}
	return "", refusal(reasonNameNotFound)
}
