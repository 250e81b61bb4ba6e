// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/memnet"

	"golang.org/x/net/dns/dnsmessage"
)

// book is a looker that knows a few names.
type book struct{ asked int }

func (b *book) Resolve(_ context.Context, _ Isolation, name string) ([]netip.Addr, time.Duration, error) {
	b.asked++
	switch name {
	case "both.example":
		return []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("2001:db8::7")}, time.Hour, nil
	case "many.example":
		var all []netip.Addr
		for i := range 200 {
			all = append(all, netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}))
		}
		return all, time.Hour, nil
	case "down.example":
		return nil, 0, errCircuit("x")
	}
	return nil, 0, errNotFound
}

func (b *book) ResolveAddr(_ context.Context, _ Isolation, a netip.Addr) ([]string, time.Duration, error) {
	b.asked++
	switch a.String() {
	case "192.0.2.7", "2001:db8::7":
		return []string{"both.example", "other.example."}, time.Hour, nil
	case "10.0.0.1":
		return nil, 0, errPrivate
	}
	return nil, 0, errNotFound
}

func asking(name string, typ dnsmessage.Type) dnsmessage.Message {
	return dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 4711, RecursionDesired: true},
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(name), Type: typ, Class: dnsmessage.ClassINET}},
	}
}

func pack(t testing.TB, m dnsmessage.Message) []byte {
	t.Helper()
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestQuestionsAreAnsweredByLookUps (UDP-5, DNS-4).
func TestQuestionsAreAnsweredByLookUps(t *testing.T) {
	const six = "7.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa."
	with := func(change func(*dnsmessage.Message)) dnsmessage.Message {
		m := asking("both.example.", dnsmessage.TypeA)
		change(&m)
		return m
	}
	for name, c := range map[string]struct {
		m       dnsmessage.Message
		code    dnsmessage.RCode
		answers int
		asked   int
	}{
		"A":                    {asking("both.example.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 1, 1},
		"in capitals":          {asking("BOTH.Example.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 1, 1},
		"AAAA":                 {asking("both.example.", dnsmessage.TypeAAAA), dnsmessage.RCodeSuccess, 1, 1},
		"no address of a kind": {asking("many.example.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 0, 1},
		"more than fit":        {asking("many.example.", dnsmessage.TypeAAAA), dnsmessage.RCodeSuccess, maxDNSRecords, 1},
		"PTR":                  {asking("7.2.0.192.in-addr.arpa.", dnsmessage.TypePTR), dnsmessage.RCodeSuccess, 2, 1},
		"PTR of IPv6":          {asking(six, dnsmessage.TypePTR), dnsmessage.RCodeSuccess, 2, 1},
		"PTR of nobody":        {asking("8.2.0.192.in-addr.arpa.", dnsmessage.TypePTR), dnsmessage.RCodeNameError, 0, 1},
		"PTR of a private one": {asking("1.0.0.10.in-addr.arpa.", dnsmessage.TypePTR), dnsmessage.RCodeNameError, 0, 1},
		"PTR of no address":    {asking("07.2.0.192.in-addr.arpa.", dnsmessage.TypePTR), dnsmessage.RCodeNameError, 0, 0},
		"PTR of a name":        {asking("both.example.", dnsmessage.TypePTR), dnsmessage.RCodeNameError, 0, 0},
		"unknown":              {asking("none.example.", dnsmessage.TypeA), dnsmessage.RCodeNameError, 0, 1},
		"trouble":              {asking("down.example.", dnsmessage.TypeA), dnsmessage.RCodeServerFailure, 0, 1},
		"MX":                   {asking("both.example.", dnsmessage.TypeMX), dnsmessage.RCodeNotImplemented, 0, 0},
		"HTTPS":                {asking("both.example.", 65), dnsmessage.RCodeNotImplemented, 0, 0},
		"another class":        {with(func(m *dnsmessage.Message) { m.Questions[0].Class = dnsmessage.ClassCHAOS }), dnsmessage.RCodeNotImplemented, 0, 0},
		"another operation":    {with(func(m *dnsmessage.Message) { m.OpCode = 4 }), dnsmessage.RCodeNotImplemented, 0, 0},
		"two questions":        {with(func(m *dnsmessage.Message) { m.Questions = append(m.Questions, m.Questions[0]) }), dnsmessage.RCodeFormatError, 0, 0},
		"none":                 {with(func(m *dnsmessage.Message) { m.Questions = nil }), dnsmessage.RCodeFormatError, 0, 0},
		"this machine":         {asking("localhost.", dnsmessage.TypeA), dnsmessage.RCodeSuccess, 1, 0},
		"a single label":       {asking("router.", dnsmessage.TypeA), dnsmessage.RCodeNameError, 0, 0},
		"Tor's":                {asking("x.onion.", dnsmessage.TypeA), dnsmessage.RCodeNameError, 0, 0},
		"a service":            {asking("x.chive.alt.", dnsmessage.TypeA), dnsmessage.RCodeNameError, 0, 0},
		"the local network's":  {asking("printer.local.", dnsmessage.TypeAAAA), dnsmessage.RCodeNameError, 0, 0},
	} {
		b := new(book)
		q, err := parseQuestion(pack(t, c.m))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		out, err := q.answer(t.Context(), b, "k")
		var m dnsmessage.Message
		if err != nil || m.Unpack(out) != nil || len(out) > dnsSize {
			t.Errorf("%s: %v, %d bytes", name, err, len(out))
			continue
		}
		if !m.Response || m.ID != 4711 || m.RCode != c.code || b.asked != c.asked || m.Authoritative || !m.RecursionAvailable {
			t.Errorf("%s: %+v, an exit was asked %d times", name, m.Header, b.asked)
		}
		if got := len(m.Answers); got != c.answers && (name != "more than fit" || got == 0) {
			t.Errorf("%s: %d answers", name, got)
		}
		for _, a := range m.Answers {
			if a.Header.TTL != dnsTTL || a.Header.Name != c.m.Questions[0].Name {
				t.Errorf("%s: %+v", name, a.Header)
			}
		}
	}
}

func TestWhatIsNoQuestionGetsNoAnswer(t *testing.T) {
	whole := pack(t, asking("both.example.", dnsmessage.TypeA))
	for n := range whole {
		q, err := parseQuestion(whole[:n])
		if (err == nil) != (n >= 12) {
			t.Errorf("%d bytes: %v", n, err)
		}
		if err == nil && !q.several {
			t.Errorf("%d bytes are a question", n)
		}
	}
	m := asking("both.example.", dnsmessage.TypeA)
	m.Response = true
	if _, err := parseQuestion(pack(t, m)); err == nil {
		t.Error("an answer is taken for a question")
	}
}

func FuzzQuestion(f *testing.F) {
	f.Add(pack(f, asking("both.example.", dnsmessage.TypeA)))
	f.Add(pack(f, asking("7.2.0.192.in-addr.arpa.", dnsmessage.TypePTR)))
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := parseQuestion(b)
		if err != nil {
			return
		}
		if out, err := q.answer(t.Context(), new(book), "k"); err == nil && len(out) > dnsSize {
			t.Errorf("%d bytes", len(out))
		}
	})
}

// TestPort53WorksWithoutAnExitForIt has a network none of whose exits permits UDP (UDP-5).
func TestPort53WorksWithoutAnExitForIt(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		w := v.walk(func(c *Config) { c.Hops = DefaultHops })
		defer w.end()
		w.settleIn(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var f *Failure
		if _, err := w.OpenUDP(ctx, "k", "9.9.9.9", 123); !errors.As(err, &f) || f.Reason() != "exit_policy" {
			t.Fatalf("port 123: %v", err)
		}
		p, err := w.OpenUDP(ctx, "k", "9.9.9.9", 53)
		if err != nil {
			t.Fatal(err)
		}
		if !p.Permits(53) || p.Permits(123) || p.WriteTo([]byte("x"), "9.9.9.9", 123) == nil {
			t.Error("it is good for other ports")
		}
		must := func(m dnsmessage.Message, server string) {
			t.Helper()
			if err := p.WriteTo(pack(t, m), server, 53); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 1500)
			n, from, err := p.ReadFrom(ctx, b)
			var got dnsmessage.Message
			if err != nil || got.Unpack(b[:n]) != nil || got.ID != m.ID || from.Port() != 53 || from.Addr().String() != server {
				t.Fatalf("%v from %v", err, from)
			}
		}
		must(asking("localhost.", dnsmessage.TypeA), "9.9.9.9")
		must(asking("both.example.", dnsmessage.TypeMX), "2620:fe::fe")
		if err := p.WriteTo([]byte("no question"), "9.9.9.9", 53); err != nil {
			t.Error(err)
		}
		if s := w.Status(); s.Traffic.Streams != 1 || s.Traffic.Up == 0 || s.Traffic.Down == 0 {
			t.Errorf("%+v", s.Traffic)
		}
		done := make(chan error)
		go func() {
			_, _, err := p.ReadFrom(ctx, make([]byte, 100))
			done <- err
		}()
		_ = p.Close()
		_ = p.Close()
		if err := <-done; err != net.ErrClosed {
			t.Errorf("after Close: %v", err)
		}
		if p.WriteTo(pack(t, asking("localhost.", dnsmessage.TypeA)), "9.9.9.9", 53) == nil {
			t.Error("written after Close")
		}
		if n := w.Status().Traffic.Streams; n != 0 {
			t.Errorf("%d streams are open", n)
		}
	})
}

// TestLookUpsGoToWhateverExitRuns: a name has no port. Policies are changed in a table of
// the test's own.
func TestLookUpsGoToWhateverExitRuns(t *testing.T) {
	c, err := New(Config{Genesis: document(t, "names", 9), Transport: memnet.New(memnet.Config{}).Host(netip.AddrFrom4([4]byte{1, 2, 3, 4})), Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	c.loadDirectory()
	table := c.current().view.Table()
	if n := nameNeed(table); n != needWeb {
		t.Errorf("with exits for the web: %+v", n)
	}
	odd := need{record.UDP, 9800}
	exits := 0
	for i := range table.Len() {
		if r := table.At(i); r.Flags&snapshot.FlagExit != 0 {
			r.Policy = []record.PortRange{{Protocol: odd.protocol, First: odd.port, Last: odd.port}}
			exits++
		}
	}
	if n := nameNeed(table); exits != 3 || n != odd {
		t.Errorf("%d exits, none for the web: %+v", exits, n)
	}
	for i := range table.Len() {
		table.At(i).Flags &^= snapshot.FlagRunning
	}
	if n := nameNeed(table); n != needWeb {
		t.Errorf("without exits: %+v", n)
	}
}
