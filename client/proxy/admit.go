// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net/netip"
	"time"
)

// admit judges where a program wants to go, before anything leaves. It is the
// one gate for every protocol and for UDP.
//
// Spec: product §4.1 (SOCKS-7, SOCKS-13, SOCKS-14), §4.4 (DNS-1).
func (s *Server) admit(a address) (Target, error) {
	ip, name, err := a.host()
	if err != nil {
		return Target{}, err
	}
	if a.port == 0 {
		return Target{}, refusal(reasonHostUnreachable)
	}
	if name != "" {
		return Target{Host: name, Port: a.port}, s.admitName(name)
	}
	if isPrivate(ip) && !s.cfg.Testnet {
		return Target{}, refusal(reasonPrivateAddress)
	}
	if now := time.Now(); !s.lookups.Has(ip, now) {
		s.count.bare.Add(1)
		if s.bareLine.due(now) {
			s.cfg.Log.Warn().Str("event", "bare_address").Msg(
				"a program connects to a bare address that was not looked up through chive; its look-ups may leak: use socks5h://, socks4a or http://")
		}
		if s.cfg.RefuseIP {
			return Target{}, refusal(reasonRefusedIP)
		}
	}
	return Target{Host: ip.String(), Port: a.port}, nil
}

// admitName refuses names that are nobody's to resolve.
func (s *Server) admitName(name string) error {
	switch {
	case underDomain(name, "chive.alt"):
		return told{reasonServiceNotFound, sayService}
	case underDomain(name, "onion"):
		return told{reasonNameNotFound, sayOnion}
	case underDomain(name, "alt"):
		return told{reasonNameNotFound, sayAlt}
	case underDomain(name, "localhost") && !s.cfg.Testnet:
		return told{reasonPrivateAddress, sayLocalhost}
	}
	return nil
}

// explain gives a Dialer's refusal of a target the words that help more. In a
// testnet addresses that are not public reach the exit, which permits loopback
// only and says policy, as if the port were at fault.
func explain(t Target, err error) error {
	switch outcomeFor(err).reason {
	case reasonExitPolicy:
		if ip, parseErr := netip.ParseAddr(t.Host); parseErr == nil && isPrivate(ip) && !ip.IsLoopback() {
			return refusal(reasonPrivateAddress)
		}
	case reasonNameNotFound:
		if underDomain(t.Host, "localhost") {
			return told{reasonNameNotFound, sayLocalhostHere}
		}
	}
	return err
}

// admitAnswer takes private addresses out of an answer: an exit that gives them
// points programs at the user's own network.
func (s *Server) admitAnswer(addrs []netip.Addr) []netip.Addr {
	var out []netip.Addr
	for _, ip := range addrs {
		if ip = ip.Unmap().WithZone(""); ip.IsValid() && (s.cfg.Testnet || !isPrivate(ip)) {
			out = append(out, ip)
		}
	}
	return out
}
