// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"chive/client/proxy"
)

const (
	dnsPort       = 53
	dnsTTL        = 60 // seconds that programs see, whatever an exit says (DNS-4)
	dnsSize       = 512
	dnsUnderWay   = 16 // questions of one association; more are dropped
	dnsQueue      = 64 // answers that nobody has read; more are dropped
	dnsPatience   = 30 * time.Second
	maxDNSRecords = 16
)

// answerer answers questions to name servers in their place, by look-ups through
// circuits. Spec: product §4.3 (UDP-5).
type answerer struct {
	c       *Client
	key     Isolation
	life    context.Context
	stop    context.CancelFunc
	answers chan reply
	busy    chan struct{} // tokens
}

// reply is an answer, as if from the server that was asked.
type reply struct {
	text []byte
	from netip.AddrPort
}

func (c *Client) newAnswerer(ctx context.Context, key Isolation) *answerer {
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	return &answerer{
		c: c, key: key, life: life, stop: stop,
		answers: make(chan reply, dnsQueue), busy: make(chan struct{}, dnsUnderWay),
	}
}

// next waits for an answer.
func (a *answerer) next(ctx context.Context) (reply, error) {
	select {
	case r := <-a.answers:
		return r, nil
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case <-a.life.Done():
		return reply{}, net.ErrClosed
	case <-a.c.over:
		return reply{}, net.ErrClosed
	}
}

// ask takes a question to the server host. What is no question is dropped, as a server
// would.
func (a *answerer) ask(b []byte, host string) error {
	if a.life.Err() != nil {
		return net.ErrClosed
	}
	server, err := netip.ParseAddr(host)
	if err != nil {
		server = netip.IPv4Unspecified() // a server by name has no address here
	}
	q, err := parseQuestion(b)
	if err != nil {
		return nil
	}
	select {
	case a.busy <- struct{}{}:
	default:
		return nil
	}
	if !a.c.begin() {
		<-a.busy
		return net.ErrClosed
	}
	go func() {
		defer a.c.tasks.Done()
		defer func() { <-a.busy }()
		ctx, cancel := context.WithTimeout(a.life, dnsPatience)
		defer cancel()
		text, err := q.answer(ctx, a.c, a.key)
		if err != nil {
			return
		}
		select {
		case a.answers <- reply{text, netip.AddrPortFrom(server, dnsPort)}:
		default:
		}
	}()
	return nil
}

// nameQuestion is what a program asks a name server.
type nameQuestion struct {
	dnsmessage.Header
	dnsmessage.Question
	several bool // or none
}

var errNoQuestion = errors.New("client: not a question to a name server")

func parseQuestion(b []byte) (nameQuestion, error) {
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.Response {
		return nameQuestion{}, errNoQuestion
	}
	first, err := p.Question()
	if err != nil {
		return nameQuestion{Header: h, several: true}, nil
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return nameQuestion{Header: h, several: true}, nil
	}
	return nameQuestion{Header: h, Question: first}, nil
}

// looker looks names up; it is a Client but for tests.
type looker interface {
	Resolve(ctx context.Context, key Isolation, name string) ([]netip.Addr, time.Duration, error)
	ResolveAddr(ctx context.Context, key Isolation, addr netip.Addr) ([]string, time.Duration, error)
}

// answer returns the message that answers q.
func (q nameQuestion) answer(ctx context.Context, c looker, key Isolation) ([]byte, error) {
	code, records := q.look(ctx, c, key)
	for {
		out, err := q.pack(code, records)
		if err != nil || len(out) <= dnsSize || len(records) == 0 {
			return out, err
		}
		records = records[:len(records)-1]
	}
}

func (q nameQuestion) pack(code dnsmessage.RCode, records []dnsmessage.ResourceBody) ([]byte, error) {
	m := dnsmessage.Message{Header: dnsmessage.Header{
		ID: q.ID, Response: true, OpCode: q.OpCode, RecursionDesired: q.RecursionDesired, RecursionAvailable: true, RCode: code,
	}}
	if !q.several {
		m.Questions = []dnsmessage.Question{q.Question}
	}
	for _, r := range records {
		m.Answers = append(m.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: q.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL}, Body: r,
		})
	}
	return m.Pack()
}

// look finds the records to answer with.
func (q nameQuestion) look(ctx context.Context, c looker, key Isolation) (dnsmessage.RCode, []dnsmessage.ResourceBody) {
	if q.several {
		return dnsmessage.RCodeFormatError, nil
	}
	if q.OpCode != 0 || q.Class != dnsmessage.ClassINET {
		return dnsmessage.RCodeNotImplemented, nil
	}
	name := strings.ToLower(strings.TrimSuffix(q.Name.String(), "."))
	switch q.Type {
	case dnsmessage.TypeA, dnsmessage.TypeAAAA:
		return lookAddrs(ctx, c, key, name, q.Type == dnsmessage.TypeA)
	case dnsmessage.TypePTR:
		return lookNames(ctx, c, key, name)
	}
	return dnsmessage.RCodeNotImplemented, nil
}

func lookAddrs(ctx context.Context, c looker, key Isolation, name string, four bool) (dnsmessage.RCode, []dnsmessage.ResourceBody) {
	var addrs []netip.Addr
	switch name, kind := proxy.ClassifyName(name); kind {
	case proxy.NameLocalhost:
		addrs = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
	case proxy.NameOrdinary:
		var err error
		if addrs, _, err = c.Resolve(ctx, key, name); err != nil {
			return codeOf(err), nil
		}
	default:
		return dnsmessage.RCodeNameError, nil // it means something elsewhere only (DNS-3)
	}
	var out []dnsmessage.ResourceBody
	for _, a := range addrs {
		switch a = a.Unmap(); {
		case len(out) >= maxDNSRecords:
		case a.Is4() && four:
			out = append(out, &dnsmessage.AResource{A: a.As4()})
		case a.Is6() && !four:
			out = append(out, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	return dnsmessage.RCodeSuccess, out
}

func lookNames(ctx context.Context, c looker, key Isolation, name string) (dnsmessage.RCode, []dnsmessage.ResourceBody) {
	addr, ok := reverseAddr(name)
	if !ok {
		return dnsmessage.RCodeNameError, nil
	}
	names, _, err := c.ResolveAddr(ctx, key, addr)
	if err != nil {
		return codeOf(err), nil
	}
	var out []dnsmessage.ResourceBody
	for _, n := range names[:min(len(names), maxDNSRecords)] {
		if dn, err := dnsmessage.NewName(strings.TrimSuffix(n, ".") + "."); err == nil {
			out = append(out, &dnsmessage.PTRResource{PTR: dn})
		}
	}
	return dnsmessage.RCodeSuccess, out
}

func codeOf(err error) dnsmessage.RCode {
	if f := (*Failure)(nil); errors.As(err, &f) && (f.reason == errNotFound.reason || f.reason == errPrivate.reason) {
		return dnsmessage.RCodeNameError
	}
	return dnsmessage.RCodeServerFailure
}

// reverseAddr reads the address out of a name under in-addr.arpa or ip6.arpa.
func reverseAddr(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		var b [4]byte
		for i, p := range parts {
			v, err := strconv.ParseUint(p, 10, 8)
			if err != nil || strconv.FormatUint(v, 10) != p {
				return netip.Addr{}, false
			}
			b[3-i] = byte(v)
		}
		return netip.AddrFrom4(b), true
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	parts := strings.Split(rest, ".")
	if !ok || len(parts) != 32 {
		return netip.Addr{}, false
	}
	slices.Reverse(parts)
	b, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || len(b) != 16 {
		return netip.Addr{}, false
	}
	for _, p := range parts {
		if len(p) != 1 {
			return netip.Addr{}, false
		}
	}
	return netip.AddrFrom16([16]byte(b)), true
}
