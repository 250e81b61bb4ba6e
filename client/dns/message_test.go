// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// ask packs a query.
func ask(t testing.TB, id uint16, name string, kind dnsmessage.Type, change ...func(*dnsmessage.Message)) []byte {
	t.Helper()
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: id, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: kind, Class: dnsmessage.ClassINET}},
	}
	for _, f := range change {
		f(&m)
	}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withEDNS adds an OPT record of a size and a version.
func withEDNS(payload int, version uint32) func(*dnsmessage.Message) {
	return func(m *dnsmessage.Message) {
		var h dnsmessage.ResourceHeader
		if err := h.SetEDNS0(payload, 0, true); err != nil {
			panic(err)
		}
		h.TTL |= version << 16
		m.Additionals = append(m.Additionals, dnsmessage.Resource{Header: h, Body: &dnsmessage.OPTResource{
			Options: []dnsmessage.Option{{Code: 10, Data: []byte("a cookie")}, {Code: 12, Data: make([]byte, 100)}},
		}})
	}
}

func TestQueriesAreRead(t *testing.T) {
	twice := func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }
	for _, c := range []struct {
		name    string
		message []byte
		drop    bool
		fault   dnsmessage.RCode
		asked   bool
		payload int
	}{
		{"plain", ask(t, 7, "Example.com.", dnsmessage.TypeA), false, 0, true, 512},
		{"EDNS", ask(t, 7, "Example.com.", dnsmessage.TypeA, withEDNS(4096, 0)), false, 0, true, 1232},
		{"small EDNS", ask(t, 7, "Example.com.", dnsmessage.TypeA, withEDNS(100, 0)), false, 0, true, 512},
		{"EDNS of 1000", ask(t, 7, "Example.com.", dnsmessage.TypeA, withEDNS(1000, 0)), false, 0, true, 1000},
		{"EDNS version 1", ask(t, 7, "Example.com.", dnsmessage.TypeA, withEDNS(4096, 1)), false, codeBadVersion, true, 1232},
		{"EDNS twice", ask(t, 7, "Example.com.", dnsmessage.TypeA, withEDNS(4096, 0), withEDNS(4096, 0)), false, dnsmessage.RCodeFormatError, true, 1232},
		{"an answer", ask(t, 7, "Example.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Response = true }), true, 0, false, 0},
		{"no question", ask(t, 7, "Example.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.Questions = nil }), false, dnsmessage.RCodeFormatError, false, 512},
		{"two questions", ask(t, 7, "Example.com.", dnsmessage.TypeA, twice), false, dnsmessage.RCodeFormatError, false, 512},
		{"an update", ask(t, 7, "Example.com.", dnsmessage.TypeA, func(m *dnsmessage.Message) { m.OpCode = 5 }), false, dnsmessage.RCodeNotImplemented, false, 512},
		{"with bytes behind", append(ask(t, 7, "Example.com.", dnsmessage.TypeA), 1, 2, 3), false, 0, true, 512},
		{"a pointer to itself", append(make([]byte, 4), 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1), false, dnsmessage.RCodeFormatError, false, 512},
		{"nothing", nil, true, 0, false, 0},
	} {
		q, ok := parseQuery(c.message)
		if ok == c.drop {
			t.Errorf("%s: dropped %v", c.name, !ok)
		}
		if ok && (q.fault != c.fault || q.asked != c.asked || q.payload != c.payload) {
			t.Errorf("%s: %+v", c.name, q)
		}
		if ok && q.fault == 0 && (q.id != 7 || !q.recurse || q.question.Name.String() != "Example.com.") {
			t.Errorf("%s: %+v", c.name, q)
		}
	}
}

// TestQueryCutAtEveryByte: shorter than a header is dropped, the rest is a format
// error; nothing is asked.
func TestQueryCutAtEveryByte(t *testing.T) {
	whole := ask(t, 7, "www.example.com.", dnsmessage.TypeA, withEDNS(4096, 0))
	for cut := range whole {
		q, ok := parseQuery(whole[:cut])
		if ok != (cut >= 12) || ok && (q.fault != dnsmessage.RCodeFormatError || q.id != 7) {
			t.Errorf("cut at %d: %v %+v", cut, ok, q)
		}
	}
}

// TestRepliesFitAndEchoTheQuestion: spelling kept, one TTL, whole or truncated,
// with EDNS only when asked (DNS-4).
func TestRepliesFitAndEchoTheQuestion(t *testing.T) {
	four := make([]record, 200)
	for i := range four {
		four[i] = record{addr: netip.AddrFrom4([4]byte{203, 0, 113, byte(i)})}
	}
	six := []record{{addr: netip.MustParseAddr("2001:db8::1")}}
	for _, c := range []struct {
		name    string
		edns    bool
		records []record
		limit   int
		want    int
		cut     bool
	}{
		{"one", false, four[:1], 512, 1, false}, {"IPv6", false, six, 512, 1, false}, {"none", true, nil, 512, 0, false},
		{"29 fit", false, four[:29], 512, 29, false}, {"31 do not", false, four[:31], 512, 0, true},
		{"64 by EDNS", true, four[:64], 1232, 64, false}, {"never more than 64", false, four, maxTCP, maxRecords, false},
	} {
		change := []func(*dnsmessage.Message){}
		if c.edns {
			change = append(change, withEDNS(4096, 0))
		}
		q, _ := parseQuery(ask(t, 7, "eXample.com.", dnsmessage.TypeA, change...))
		b := appendReply([]byte{9, 9}, &q, 0, c.records, c.limit)
		if !bytes.HasPrefix(b, []byte{9, 9}) || len(b)-2 > c.limit {
			t.Errorf("%s: %d bytes", c.name, len(b))
		}
		var m dnsmessage.Message
		if err := m.Unpack(b[2:]); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if len(m.Answers) != c.want || m.Truncated != c.cut || m.ID != 7 || !m.Response || !m.RecursionAvailable || !m.RecursionDesired || m.Authoritative ||
			len(m.Questions) != 1 || m.Questions[0] != q.question || (len(m.Additionals) == 1) != c.edns {
			t.Errorf("%s: %+v", c.name, m.Header)
		}
		for _, r := range m.Answers {
			if r.Header.TTL != 60 || r.Header.Name.String() != "eXample.com." {
				t.Errorf("%s: %v", c.name, r.Header)
			}
		}
	}
	q, _ := parseQuery(ask(t, 7, "a.test.", dnsmessage.TypeA, withEDNS(4096, 1)))
	var m dnsmessage.Message
	if err := m.Unpack(appendReply(nil, &q, q.fault, nil, 512)); err != nil || m.RCode != 0 || m.Additionals[0].Header.ExtendedRCode(m.RCode) != codeBadVersion {
		t.Errorf("bad version: %+v %v", m, err)
	}
}

func TestReverseNames(t *testing.T) {
	for _, text := range []string{"203.0.113.5", "0.0.0.0", "255.255.255.255", "2001:db8::1", "::1", "fe80:1234:5678:9abc:def0::ffff"} {
		addr := netip.MustParseAddr(text)
		if got, ok := parseReverse(reverse(addr)); !ok || got != addr {
			t.Errorf("%s: %v %v", reverse(addr), got, ok)
		}
	}
	v6 := reverse(netip.MustParseAddr("2001:db8::1"))
	for _, name := range []string{"in-addr.arpa", ".in-addr.arpa", "1.2.3.in-addr.arpa", "1.2.3.4.5.in-addr.arpa", "256.2.3.4.in-addr.arpa", "01.2.3.4.in-addr.arpa",
		"a.b.c.d.in-addr.arpa", "1.2.3.4.in-addr.arpa.example.com", "ip6.arpa", v6[2:], "0." + v6, strings.Replace(v6, "1", "g", 1), strings.Replace(v6, "1.0", "100", 1), "example.com", ""} {
		if addr, ok := parseReverse(name); ok {
			t.Errorf("%s: %v", name, addr)
		}
	}
}

// reverse is the name under which an address is looked up.
func reverse(addr netip.Addr) string {
	if addr.Is4() {
		a := addr.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa", a[3], a[2], a[1], a[0])
	}
	a := addr.As16()
	var b strings.Builder
	for i := range a {
		fmt.Fprintf(&b, "%x.%x.", a[15-i]&15, a[15-i]>>4)
	}
	return b.String() + "ip6.arpa"
}

// FuzzQuery: no input panics; what is answered is a message that fits, with the
// same number and question.
func FuzzQuery(f *testing.F) {
	f.Add(ask(f, 7, "www.example.com.", dnsmessage.TypeA))
	f.Add(ask(f, 7, "x.chive.alt.", dnsmessage.TypeAAAA, withEDNS(4096, 0)))
	f.Add(ask(f, 7, "5.113.0.203.in-addr.arpa.", dnsmessage.TypePTR, withEDNS(512, 1)))
	f.Add(ask(f, 7, ".", dnsmessage.TypeNS))
	f.Add(append(make([]byte, 4), 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 1, 0, 1))
	s, err := New(Config{Resolver: &resolver{}})
	if err != nil {
		f.Fatal(err)
	}
	records := []record{{addr: netip.MustParseAddr("203.0.113.5")}, {addr: netip.MustParseAddr("2001:db8::1")}, {name: "host.test"}, {name: strings.Repeat("n", 300)}}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, ok := parseQuery(b)
		if !ok {
			return
		}
		code, local, task, done := s.local(netip.Addr{}, &q)
		if done && (task.name != "" || task.addr.IsValid()) || !done && (q.fault != 0 || !q.asked) {
			t.Errorf("%v %+v", done, task)
		}
		for _, records := range [][]record{local, records[:3], records} {
			if !q.asked {
				records = nil
			}
			out := appendReply(nil, &q, code, records, q.payload)
			var m dnsmessage.Message
			if err := m.Unpack(out); err != nil || len(out) > q.payload || m.ID != q.id || !m.Response || q.asked && m.Questions[0] != q.question {
				t.Errorf("% x: %v", out, err)
			}
		}
	})
}
