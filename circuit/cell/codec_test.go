// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"bytes"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// codec is one message body for tests that treat all alike.
type codec struct {
	name   string
	kind   Type
	decode func(p []byte) (any, error)
	encode func(dst []byte, v any) ([]byte, error)
	open   bool // any longer body is valid too: it ends with free bytes
}

// decoded makes a decoder of any message out of a typed one.
func decoded[T any](parse func([]byte) (T, error)) func([]byte) (any, error) {
	return func(p []byte) (any, error) {
		v, err := parse(p)
		if err != nil {
			return nil, err
		}
		return v, nil
	}
}

func codecs() []codec {
	return []codec{
		{"extend", TypeExtend, decoded(ParseExtend), func(dst []byte, v any) ([]byte, error) { return v.(Extend).Append(dst) }, true},
		{"truncated", TypeTruncated, decoded(ParseTruncated), func(dst []byte, v any) ([]byte, error) { return append(dst, v.(byte)), nil }, false},
		{"ack", TypeAck, decoded(ParseAck), func(dst []byte, v any) ([]byte, error) {
			tag := v.([TagSize]byte)
			return append(dst, tag[:]...), nil
		}, false},
		{"begin", TypeBegin, decoded(ParseBegin), func(dst []byte, v any) ([]byte, error) { return v.(Begin).Append(dst) }, true},
		{"connected", TypeConnected, decoded(ParseConnected), func(dst []byte, v any) ([]byte, error) { return v.(Connected).Append(dst), nil }, false},
		{"end", TypeEnd, decoded(ParseEnd), func(dst []byte, v any) ([]byte, error) { return v.(End).Append(dst), nil }, false},
		{"credit", TypeCredit, decoded(ParseCredit), func(dst []byte, v any) ([]byte, error) { return AppendCredit(dst, v.(uint32)), nil }, false},
		{"begin_udp", TypeBeginUDP, func(p []byte) (any, error) { return nil, ParseBeginUDP(p) }, func(dst []byte, _ any) ([]byte, error) { return AppendBeginUDP(dst), nil }, false},
		{"datagram", TypeDatagram, decoded(ParseDatagram), func(dst []byte, v any) ([]byte, error) { return v.(Datagram).Append(dst) }, true},
		{"resolve", TypeResolve, decoded(ParseResolve), func(dst []byte, v any) ([]byte, error) { return v.(Resolve).Append(dst) }, false},
		{"resolved", TypeResolved, decoded(ParseResolved), func(dst []byte, v any) ([]byte, error) { return v.(Resolved).Append(dst) }, false},
	}
}

// codecOf returns the codec of a type; ok is false for types without a body of
// their own.
func codecOf(t Type) (c codec, ok bool) {
	for _, c := range codecs() {
		if c.kind == t {
			return c, true
		}
	}
	return codec{}, false
}

// sample is one value of each kind of body; its name is the vector's.
type sample struct {
	name  string
	kind  Type
	value any
}

func filled(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func samples() []sample {
	tag := [TagSize]byte(filled(TagSize, 0xA5))
	long := strings.Repeat("a", MaxHost)
	return []sample{
		{"extend_one", TypeExtend, Extend{RID: [16]byte(filled(16, 7)), Addrs: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:443")}, Handshake: filled(1380, 1)}},
		{"extend_four", TypeExtend, Extend{RID: [16]byte(filled(16, 8)), Addrs: []netip.AddrPort{
			netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("[2001:db8::1]:65535"),
			netip.MustParseAddrPort("198.51.100.7:9001"), netip.MustParseAddrPort("[2001:db8::2]:443"),
		}, Handshake: filled(1380, 2)}},
		{"truncated", TypeTruncated, byte(3)},
		{"ack", TypeAck, tag},
		{"begin", TypeBegin, Begin{Port: 80, Host: "example.org"}},
		{"begin_early", TypeBegin, Begin{Flags: BeginPreferIPv6, Port: 443, Host: "2001:db8::1", Early: []byte("hello")}},
		{"begin_longest", TypeBegin, Begin{Port: 65535, Host: long, Early: filled(MaxEarly(long), 0xEE)}},
		{"connected_none", TypeConnected, Connected{}},
		{"connected_ipv4", TypeConnected, Connected{Addr: addr("192.0.2.1")}},
		{"connected_ipv6", TypeConnected, Connected{Addr: addr("2001:db8::1")}},
		{"end_sending", TypeEnd, End{Direction: EndSending}},
		{"end_both_reset", TypeEnd, End{Direction: EndBoth, Reason: 6}},
		{"credit_one", TypeCredit, uint32(1)},
		{"credit_most", TypeCredit, uint32(1<<32 - 1)},
		{"begin_udp", TypeBeginUDP, nil},
		{"datagram_empty", TypeDatagram, Datagram{Port: 53, Host: "192.0.2.53", Payload: []byte{}}},
		{"datagram_longest", TypeDatagram, Datagram{Port: 65535, Host: long, Payload: filled(MaxDatagram, 0xDD)}},
		{"resolve_name", TypeResolve, Resolve{Kind: ResolveName, Name: "example.org"}},
		{"resolve_reverse", TypeResolve, Resolve{Kind: ResolveReverse, Name: "2001:db8::1"}},
		{"resolve_longest", TypeResolve, Resolve{Kind: ResolveName, Name: long}},
		{"resolved_refused", TypeResolved, Resolved{Reason: 2}},
		{"resolved_addresses", TypeResolved, Resolved{TTLSeconds: 300, Addrs: []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1")}}},
		{"resolved_names", TypeResolved, Resolved{TTLSeconds: 3600, Names: []string{"a.example", "b.example"}}},
		{"resolved_eight", TypeResolved, Resolved{TTLSeconds: 1<<32 - 1, Addrs: []netip.Addr{addr("192.0.2.1"), addr("192.0.2.2"), addr("192.0.2.3"), addr("192.0.2.4")},
			Names: []string{"a", "b", "c", long}}},
	}
}

// body encodes a sample.
func (s sample) body(t testing.TB) []byte {
	t.Helper()
	c, ok := codecOf(s.kind)
	if !ok {
		t.Fatalf("%s: no codec", s.name)
	}
	b, err := c.encode(nil, s.value)
	if err != nil {
		t.Fatalf("%s: %v", s.name, err)
	}
	return b
}

func TestEveryBodySurvivesTheRoundTrip(t *testing.T) {
	seen := make(map[Type]bool)
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			c, _ := codecOf(s.kind)
			b := s.body(t)
			if len(b) > MaxBody {
				t.Fatalf("%d bytes do not fit into a cell", len(b))
			}
			v, err := c.decode(b)
			if err != nil {
				t.Fatal(err)
			}
			if !equalValues(v, s.value) {
				t.Fatalf("decoded %+v, encoded %+v", v, s.value)
			}
		})
		seen[s.kind] = true
	}
	for _, c := range codecs() {
		if !seen[c.kind] {
			t.Errorf("%s: no sample", c.name)
		}
	}
}

// equalValues compares messages; an absent byte slice equals an empty one.
func equalValues(a, b any) bool {
	if x, ok := a.(Begin); ok {
		y := b.(Begin)
		same := bytes.Equal(x.Early, y.Early)
		x.Early, y.Early = nil, nil
		return same && reflect.DeepEqual(x, y)
	}
	return reflect.DeepEqual(a, b)
}

func TestEveryBodyCutAtEveryByteIsRefused(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			c, _ := codecOf(s.kind)
			b := s.body(t)
			for n := range len(b) {
				v, err := c.decode(b[:n])
				if err == nil && !c.open {
					t.Fatalf("cut to %d of %d bytes it is taken", n, len(b))
				}
				if err != nil {
					if !errors.Is(err, ErrSize) && !errors.Is(err, ErrFormat) {
						t.Fatalf("cut to %d bytes: %v", n, err)
					}
					continue
				}
				// Where free bytes end the body, a shorter one means just that.
				again, err := c.encode(nil, v)
				if err != nil || !bytes.Equal(again, b[:n]) {
					t.Fatalf("cut to %d bytes it is taken for another message", n)
				}
			}
		})
	}
}

func TestEveryBodyWithAByteTooManyIsRefused(t *testing.T) {
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			c, _ := codecOf(s.kind)
			b := append(s.body(t), 0)
			if _, err := c.decode(b); (err == nil) != (c.open && len(b) <= longest(c.kind, b)) {
				t.Fatalf("one byte more: %v", err)
			}
		})
	}
}

// longest is the size of the largest body with the same head.
func longest(kind Type, b []byte) int {
	if kind == TypeDatagram {
		return 3 + int(b[2]) + MaxDatagram
	}
	return MaxBody
}

func TestNoCodecLeavesOrTakesOtherBytes(t *testing.T) {
	const canary = 0xC7
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			c, _ := codecOf(s.kind)
			want := s.body(t)
			buf := filled(len(want)+64, canary)
			out, err := c.encode(buf[:3:len(buf)], s.value)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(out[:3], filled(3, canary)) || !bytes.Equal(out[3:], want) {
				t.Fatal("the body depends on the buffer it was appended to")
			}
			if !bytes.Equal(buf[3+len(want):], filled(len(buf)-3-len(want), canary)) {
				t.Fatal("bytes behind the body were written")
			}
		})
	}
}

func TestDecodersKeepNothingButTheirViews(t *testing.T) {
	b := sample{kind: TypeBegin, value: Begin{Port: 1, Host: "h", Early: []byte("early")}}.body(t)
	m, err := ParseBegin(b)
	if err != nil {
		t.Fatal(err)
	}
	copy(b, filled(len(b), 0))
	if m.Host != "h" {
		t.Fatal("a name is a view into the cell")
	}
	if !bytes.Equal(m.Early, filled(5, 0)) {
		t.Fatal("early data is documented as a view and is a copy")
	}
}

func TestCommandsAreTheSixOfTheSpecification(t *testing.T) {
	for c := range 256 {
		want := c >= 1 && c <= 6
		if Command(c).Valid() != want {
			t.Errorf("command %d: valid %v", c, !want)
		}
	}
}
