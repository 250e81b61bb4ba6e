// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"chive/internal/redact"
)

// admit judges where a program at client wants to go, before anything leaves. It
// is the one gate for every protocol and for UDP. A mapped address becomes the
// name that it stands for.
//
// Spec: product §4.1 (SOCKS-7, SOCKS-13, SOCKS-14), §4.4 (DNS-1, DNS-2).
func (s *Server) admit(client netip.Addr, a address) (Target, error) {
	t, err := s.judge(client, a)
	if err != nil {
		s.tellRefused(RefusedConnect, a, err)
	}
	return t, err
}

// judge is admit, and tells nobody.
func (s *Server) judge(client netip.Addr, a address) (Target, error) {
	ip, name, err := a.host()
	if err != nil {
		return Target{}, err
	}
	if a.port == 0 {
		return Target{}, told{reasonHostUnreachable, sayPort0}
	}
	if Mapped(ip) {
		if name, err = s.mappedName(client, ip); err != nil {
			return Target{}, err
		}
	}
	if name != "" {
		s.count.names.Add(1)
		return Target{Host: name, Port: a.port}, admitName(name, s.cfg.Testnet)
	}
	if isPrivate(ip) && !s.cfg.Testnet {
		return Target{}, refusal(reasonPrivateAddress)
	}
	if now := time.Now(); !s.lookups.Has(ip, now) {
		s.count.bare.Add(1)
		if s.cfg.Bare != nil {
			s.cfg.Bare()
		}
		if s.bareLine.due(now) {
			if s.cfg.Leak != nil {
				s.cfg.Leak(s.cfg.Name)
			}
			s.cfg.Log.Warn().Str("event", "bare_address").EmbedObject(redact.Listener(s.cfg.Name)).Msg(
				"a program connects to a bare address that was not looked up through chive; its look-ups may leak: use socks5h://, socks4a or http://")
		}
		if s.cfg.RefuseIP {
			return Target{}, refusal(reasonRefusedIP)
		}
	}
	return Target{Host: ip.String(), Port: a.port}, nil
}

// tellRefused tells the user's own daemon what was refused here, and why: no Dialer hears
// of it. What has no normal form is not repeated.
//
// Spec: product §4.6.
func (s *Server) tellRefused(kind string, a address, err error) {
	if s.cfg.Refused == nil {
		return
	}
	ip, name, badHost := a.host()
	switch {
	case badHost != nil:
		name = "(no name)"
	case name == "":
		name = ip.String()
	}
	if kind != RefusedResolve {
		name = net.JoinHostPort(name, strconv.Itoa(int(a.port)))
	}
	s.cfg.Refused(describe(kind, name, err))
}

// describe puts what was refused into words.
func describe(kind, target string, err error) Refused {
	o := outcomeFor(err)
	text, fix := o.sentence, ""
	if i := strings.Index(text, ". "); i >= 0 {
		text, fix = text[:i+1], text[i+2:]
	}
	return Refused{Kind: kind, Target: target, Reason: o.reason, Text: text, Fix: fix}
}

// RefuseName says why no exit is asked for a name, in the words that the proxy has for it;
// false: one may be. name has its normal form.
//
// Spec: product §4.4 (DNS-1, DNS-3), §4.6.
func RefuseName(name string, testnet bool) (r Refused, refused bool) {
	if err := admitName(name, testnet); err != nil {
		return describe(RefusedResolve, name, err), true
	}
	return Refused{}, false
}

// admitName refuses names that are nobody's to resolve, and those of services,
// which this version cannot reach: the one place that says so.
//
// Spec: product §4.4 (DNS-1, DNS-3).
func admitName(name string, testnet bool) error {
	switch _, kind := ClassifyName(name); {
	case kind == NameService:
		return told{reasonServiceNotFound, sayService}
	case kind == NameServiceBad:
		return refusal(reasonServiceAddressBad)
	case kind == NameOnion:
		return told{reasonNameNotFound, sayOnion}
	case kind == NameAlt:
		return told{reasonNameNotFound, sayAlt}
	case kind == NameLocalhost && !testnet:
		return told{reasonPrivateAddress, sayLocalhost}
	case kind == NameLocal:
		return told{reasonNameNotFound, sayLocal}
	case kind == NameSingle:
		return told{reasonNameNotFound, saySingle}
	case kind == NameInvalid:
		return refusal(reasonNameNotFound)
	}
	return nil
}

// mappedName finds the name that a mapped address stands for. An address whose
// mapping is over, or is another listener's or client's, is refused.
//
// Spec: product §4.4 (DNS-2).
func (s *Server) mappedName(client, addr netip.Addr) (string, error) {
	if s.cfg.NoAutomap {
		return "", told{reasonPrivateAddress, sayNoAutomap}
	}
	name, ok := s.automap.Name(s.cfg.Name, client, addr, time.Now())
	if !ok {
		return "", told{reasonPrivateAddress, sayUnmapped}
	}
	return name, nil
}

// explain gives a Dialer's refusal of a target the words that help more. In a
// testnet addresses that are not public reach the exit, which permits loopback
// only of those and says policy, as if the port were at fault.
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
		if ip = ip.Unmap().WithZone(""); ip.IsValid() && !Mapped(ip) && (s.cfg.Testnet || !isPrivate(ip)) {
			out = append(out, ip)
		}
	}
	return out
}
