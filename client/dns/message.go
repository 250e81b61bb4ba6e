// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"net/netip"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	maxQuery   = 2048 // bytes of one query; a name, its type and EDNS options with padding take less
	minPayload = 512  // every program takes such a datagram
	maxPayload = 1232 // and none beyond this is sent: it passes every network in one piece
	maxTCP     = 65535

	maxRecords = 64 // of one answer

	codeBadVersion dnsmessage.RCode = 16 // of EDNS
)

// query is one decoded query.
type query struct {
	id       uint16
	opcode   dnsmessage.OpCode
	recurse  bool
	asked    bool // question is there
	question dnsmessage.Question
	edns     bool
	payload  int              // bytes of a datagram that the program takes
	fault    dnsmessage.RCode // what to answer without a look at the question; 0: nothing
}

// parseQuery decodes a query. false: no answer is due, because it is shorter than
// a header or an answer itself. Records other than EDNS's are skipped, as is what
// follows the message.
func parseQuery(b []byte) (query, bool) {
	q := query{payload: minPayload}
	var p dnsmessage.Parser
	h, err := p.Start(b)
	if err != nil || h.Response {
		return q, false
	}
	q.id, q.opcode, q.recurse = h.ID, h.OpCode, h.RecursionDesired
	if h.OpCode != 0 {
		q.fault = dnsmessage.RCodeNotImplemented
		return q, true
	}
	q.fault = dnsmessage.RCodeFormatError
	question, err := p.Question()
	if err != nil {
		return q, true
	}
	if _, err := p.Question(); err != dnsmessage.ErrSectionDone {
		return q, true
	}
	q.asked, q.question = true, question
	if p.SkipAllAnswers() != nil || p.SkipAllAuthorities() != nil {
		return q, true
	}
	for {
		h, err := p.AdditionalHeader()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return q, true
		}
		if h.Type == dnsmessage.TypeOPT {
			if q.edns || h.Name.String() != "." {
				return q, true
			}
			q.edns = true
			q.payload = min(max(int(h.Class), minPayload), maxPayload)
			if version := byte(h.TTL >> 16); version != 0 {
				q.fault = codeBadVersion
				return q, true
			}
		}
		if p.SkipAdditional() != nil {
			return q, true
		}
	}
	q.fault = 0
	return q, true
}

// record is one line of an answer: an address, or else a name.
type record struct {
	addr netip.Addr
	name string
}

// appendReply appends the answer to q. One that is longer than limit bytes is
// sent without records and marked as truncated, so that the program asks again by
// TCP. limit is at least minPayload, which such an answer always fits.
func appendReply(dst []byte, q *query, code dnsmessage.RCode, records []record, limit int) []byte {
	if b, err := pack(dst, q, code, records, false); err == nil && len(b)-len(dst) <= limit {
		return b
	}
	b, err := pack(dst, q, code, nil, true)
	if err != nil { // nothing of it is the program's but the question, which was parsed
		return dst
	}
	return b
}

func pack(dst []byte, q *query, code dnsmessage.RCode, records []record, truncated bool) ([]byte, error) {
	b := dnsmessage.NewBuilder(dst, dnsmessage.Header{
		ID: q.id, Response: true, OpCode: q.opcode, Truncated: truncated,
		RecursionDesired: q.recurse, RecursionAvailable: true, RCode: code & 0xF,
	})
	b.EnableCompression()
	if q.asked {
		if err := b.StartQuestions(); err != nil {
			return nil, err
		}
		if err := b.Question(q.question); err != nil {
			return nil, err
		}
	}
	if err := b.StartAnswers(); err != nil {
		return nil, err
	}
	for _, r := range records[:min(len(records), maxRecords)] {
		if err := r.pack(&b, q.question.Name); err != nil {
			return nil, err
		}
	}
	if q.edns {
		if err := b.StartAdditionals(); err != nil {
			return nil, err
		}
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(maxPayload, code, false); err != nil {
			return nil, err
		}
		if err := b.OPTResource(h, dnsmessage.OPTResource{}); err != nil {
			return nil, err
		}
	}
	return b.Finish()
}

func (r record) pack(b *dnsmessage.Builder, owner dnsmessage.Name) error {
	h := dnsmessage.ResourceHeader{Name: owner, Class: dnsmessage.ClassINET, TTL: ttl}
	switch {
	case r.addr.Is4():
		return b.AResource(h, dnsmessage.AResource{A: r.addr.As4()})
	case r.addr.Is6():
		return b.AAAAResource(h, dnsmessage.AAAAResource{AAAA: r.addr.As16()})
	}
	name, err := dnsmessage.NewName(r.name + ".")
	if err != nil {
		return err
	}
	return b.PTRResource(h, dnsmessage.PTRResource{PTR: name})
}

// parseReverse reads the address out of a whole name below in-addr.arpa or
// ip6.arpa, in lower case and without trailing dot.
func parseReverse(name string) (netip.Addr, bool) {
	if rest, ok := strings.CutSuffix(name, ".in-addr.arpa"); ok {
		parts := strings.Split(rest, ".")
		if len(parts) != 4 {
			return netip.Addr{}, false
		}
		addr, err := netip.ParseAddr(parts[3] + "." + parts[2] + "." + parts[1] + "." + parts[0])
		return addr, err == nil
	}
	rest, ok := strings.CutSuffix(name, ".ip6.arpa")
	if !ok || len(rest) != 63 {
		return netip.Addr{}, false
	}
	var a [16]byte
	for i := range 32 {
		c := rest[2*i]
		switch {
		case i < 31 && rest[2*i+1] != '.':
			return netip.Addr{}, false
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		default:
			return netip.Addr{}, false
		}
		a[15-i/2] |= c << (4 * (i % 2))
	}
	return netip.AddrFrom16(a).Unmap(), true
}
