// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// Every bound of a body, at its end and one beyond, for the encoder and the
// decoder.

type bound struct {
	name string
	kind Type
	v    any    // for the encoder; nil: it cannot be expressed
	raw  []byte // for the decoder; nil: what the encoder makes of v
	want error
}

func bounds() []bound {
	host := func(n int) string { return strings.Repeat("h", n) }
	port := netip.MustParseAddrPort
	v4 := port("192.0.2.1:1")
	answers := func(n int) []netip.Addr { return slices.Repeat([]netip.Addr{addr("192.0.2.1")}, n) }
	names := func(n, size int) []string { return slices.Repeat([]string{host(size)}, n) }
	extend := func(count, handshake int) Extend {
		return Extend{Addrs: slices.Repeat([]netip.AddrPort{v4}, count), Handshake: filled(handshake, 1)}
	}
	const oneAddr = 17 + 1 + 4 + 2 // EXTEND's head with one IPv4 address
	return []bound{
		{"begin: host of 1", TypeBegin, Begin{Port: 1, Host: "h"}, nil, nil},
		{"begin: no host", TypeBegin, Begin{Port: 1}, []byte{0, 0, 1, 0}, ErrSize},
		{"begin: longest host", TypeBegin, Begin{Port: 1, Host: host(MaxHost)}, nil, nil},
		{"begin: host too long", TypeBegin, Begin{Port: 1, Host: host(MaxHost + 1)}, append([]byte{0, 0, 1, MaxHost + 1}, host(MaxHost+1)...), ErrSize},
		{"begin: host longer than the body", TypeBegin, nil, []byte{0, 0, 1, 5, 'h'}, ErrSize},
		{"begin: port 0", TypeBegin, Begin{Host: "h"}, []byte{0, 0, 0, 1, 'h'}, ErrFormat},
		{"begin: port 65535", TypeBegin, Begin{Port: 65535, Host: "h"}, nil, nil},
		{"begin: all known flags", TypeBegin, Begin{Flags: BeginPreferIPv6, Port: 1, Host: "h"}, nil, nil},
		{"begin: unknown flag", TypeBegin, Begin{Flags: 2, Port: 1, Host: "h"}, []byte{2, 0, 1, 1, 'h'}, ErrFormat},
		{"begin: most early data", TypeBegin, Begin{Port: 1, Host: "h", Early: filled(MaxEarly("h"), 1)}, nil, nil},
		{"begin: too much early data", TypeBegin, Begin{Port: 1, Host: "h", Early: filled(MaxEarly("h")+1, 1)}, append([]byte{0, 0, 1, 1, 'h'}, filled(MaxEarly("h")+1, 1)...), ErrSize},
		{"begin: first printable", TypeBegin, Begin{Port: 1, Host: "!"}, nil, nil},
		{"begin: last printable", TypeBegin, Begin{Port: 1, Host: "~"}, nil, nil},
		{"begin: space", TypeBegin, Begin{Port: 1, Host: "a b"}, []byte{0, 0, 1, 3, 'a', ' ', 'b'}, ErrFormat},
		{"begin: control character", TypeBegin, Begin{Port: 1, Host: "\x1f"}, []byte{0, 0, 1, 1, 0x1f}, ErrFormat},
		{"begin: delete", TypeBegin, Begin{Port: 1, Host: "\x7f"}, []byte{0, 0, 1, 1, 0x7f}, ErrFormat},
		{"begin: not ASCII", TypeBegin, Begin{Port: 1, Host: "\x80"}, []byte{0, 0, 1, 1, 0x80}, ErrFormat},

		{"connected: kind 5", TypeConnected, nil, []byte{5, 1, 2, 3, 4}, ErrFormat},
		{"connected: mapped address", TypeConnected, nil, append([]byte{6}, slices.Concat(make([]byte, 10), []byte{255, 255, 1, 2, 3, 4})...), ErrFormat},
		{"connected: kind 4 of 16 bytes", TypeConnected, nil, append([]byte{4}, make([]byte, 16)...), ErrSize},
		{"connected: kind 6 of 4 bytes", TypeConnected, nil, append([]byte{6}, make([]byte, 4)...), ErrSize},

		{"end: direction 0", TypeEnd, nil, []byte{0, 0}, ErrFormat},
		{"end: direction 1", TypeEnd, End{Direction: EndSending}, nil, nil},
		{"end: direction 2", TypeEnd, End{Direction: EndBoth}, nil, nil},
		{"end: direction 3", TypeEnd, nil, []byte{3, 0}, ErrFormat},
		{"end: unknown reason", TypeEnd, End{Direction: EndBoth, Reason: 255}, nil, nil},

		{"credit: zero", TypeCredit, nil, []byte{0, 0, 0, 0}, ErrFormat},
		{"credit: one", TypeCredit, uint32(1), nil, nil},
		{"credit: most", TypeCredit, uint32(1<<32 - 1), nil, nil},

		{"begin_udp: flag", TypeBeginUDP, nil, []byte{1}, ErrFormat},

		{"datagram: empty", TypeDatagram, Datagram{Port: 1, Host: "h", Payload: []byte{}}, nil, nil},
		{"datagram: largest, short host", TypeDatagram, Datagram{Port: 1, Host: "h", Payload: filled(MaxDatagram, 1)}, nil, nil},
		{"datagram: too large, short host", TypeDatagram, Datagram{Port: 1, Host: "h", Payload: filled(MaxDatagram+1, 1)}, append([]byte{0, 1, 1, 'h'}, filled(MaxDatagram+1, 1)...), ErrSize},
		{"datagram: largest, long host", TypeDatagram, Datagram{Port: 1, Host: host(MaxHost), Payload: filled(MaxDatagram, 1)}, nil, nil},
		{"datagram: no host", TypeDatagram, Datagram{Port: 1}, []byte{0, 1, 0}, ErrSize},
		{"datagram: host too long", TypeDatagram, Datagram{Port: 1, Host: host(MaxHost + 1)}, append([]byte{0, 1, MaxHost + 1}, host(MaxHost+1)...), ErrSize},
		{"datagram: port 0", TypeDatagram, Datagram{Host: "h"}, []byte{0, 0, 1, 'h'}, ErrFormat},
		{"datagram: space", TypeDatagram, Datagram{Port: 1, Host: " "}, []byte{0, 1, 1, ' '}, ErrFormat},

		{"resolve: kind 1", TypeResolve, Resolve{Kind: ResolveReverse, Name: "n"}, nil, nil},
		{"resolve: kind 2", TypeResolve, Resolve{Kind: 2, Name: "n"}, []byte{2, 1, 'n'}, ErrFormat},
		{"resolve: no name", TypeResolve, Resolve{}, []byte{0, 0}, ErrSize},
		{"resolve: longest name", TypeResolve, Resolve{Name: host(MaxHost)}, nil, nil},
		{"resolve: name too long", TypeResolve, Resolve{Name: host(MaxHost + 1)}, append([]byte{0, MaxHost + 1}, host(MaxHost+1)...), ErrSize},
		{"resolve: space", TypeResolve, Resolve{Name: " "}, []byte{0, 1, ' '}, ErrFormat},

		{"resolved: eight answers", TypeResolved, Resolved{Addrs: answers(MaxAnswers)}, nil, nil},
		{"resolved: nine answers", TypeResolved, Resolved{Addrs: answers(MaxAnswers + 1)}, append([]byte{0, 0, 0, 0, 0, MaxAnswers + 1}, slices.Repeat([]byte{4, 192, 0, 2, 1}, MaxAnswers+1)...), ErrSize},
		{"resolved: nine of both", TypeResolved, Resolved{Addrs: answers(4), Names: names(5, 1)}, nil, ErrSize},
		{"resolved: 255 announced", TypeResolved, nil, []byte{0, 0, 0, 0, 0, 255}, ErrSize},
		{"resolved: invalid address", TypeResolved, Resolved{Addrs: make([]netip.Addr, 1)}, []byte{0, 0, 0, 0, 0, 1, 0, 0}, ErrFormat},
		{"resolved: address behind a name", TypeResolved, nil, []byte{0, 0, 0, 0, 0, 2, 1, 1, 'n', 4, 1, 2, 3, 4}, ErrFormat},
		{"resolved: longest name", TypeResolved, Resolved{Names: names(1, MaxHost)}, nil, nil},
		{"resolved: name too long", TypeResolved, Resolved{Names: names(1, MaxHost+1)}, append([]byte{0, 0, 0, 0, 0, 1, 1, MaxHost + 1}, host(MaxHost+1)...), ErrSize},
		{"resolved: no name", TypeResolved, Resolved{Names: []string{""}}, []byte{0, 0, 0, 0, 0, 1, 1, 0}, ErrSize},
		{"resolved: bad name", TypeResolved, Resolved{Names: []string{"\n"}}, []byte{0, 0, 0, 0, 0, 1, 1, 1, '\n'}, ErrFormat},
		{"resolved: largest of one cell", TypeResolved, Resolved{Names: append(names(7, MaxHost), host(MaxBody-6-7*(2+MaxHost)-2))}, nil, nil},
		{"resolved: larger than one cell", TypeResolved, Resolved{Names: append(names(7, MaxHost), host(MaxBody-6-7*(2+MaxHost)-1))}, nil, ErrSize},

		{"extend: no address", TypeExtend, extend(0, 10), append(make([]byte, 17), filled(10, 1)...), ErrSize},
		{"extend: four addresses", TypeExtend, extend(MaxLinkSpecifiers, 10), nil, nil},
		{"extend: five addresses", TypeExtend, extend(MaxLinkSpecifiers+1, 10), slices.Concat(make([]byte, 16), []byte{5}, slices.Repeat([]byte{4, 192, 0, 2, 1, 0, 1}, 5), filled(10, 1)), ErrSize},
		{"extend: no handshake", TypeExtend, extend(1, 0), slices.Concat(make([]byte, 16), []byte{1, 4, 192, 0, 2, 1, 0, 1}), ErrSize},
		{"extend: one byte of handshake", TypeExtend, extend(1, 1), nil, nil},
		{"extend: largest", TypeExtend, extend(1, MaxBody-oneAddr), nil, nil},
		{"extend: too large", TypeExtend, extend(1, MaxBody-oneAddr+1), slices.Concat(make([]byte, 16), []byte{1, 4, 192, 0, 2, 1, 0, 1}, filled(MaxBody-oneAddr+1, 1)), ErrSize},
		{"extend: port 0", TypeExtend, Extend{Addrs: []netip.AddrPort{port("192.0.2.1:0")}, Handshake: filled(1, 1)}, slices.Concat(make([]byte, 16), []byte{1, 4, 192, 0, 2, 1, 0, 0, 1}), ErrFormat},
		{"extend: address of kind 0", TypeExtend, Extend{Addrs: make([]netip.AddrPort, 1), Handshake: filled(1, 1)}, slices.Concat(make([]byte, 16), []byte{1, 0, 0, 1, 1}), ErrFormat},
		{"extend: mapped address", TypeExtend, nil, slices.Concat(make([]byte, 16), []byte{1, 6}, make([]byte, 10), []byte{255, 255, 1, 2, 3, 4, 0, 1, 1}), ErrFormat},
	}
}

func TestBounds(t *testing.T) {
	for _, b := range bounds() {
		t.Run(b.name, func(t *testing.T) {
			c, _ := codecOf(b.kind)
			raw := b.raw
			if b.v != nil {
				out, err := c.encode([]byte("before"), b.v)
				if !errors.Is(err, b.want) {
					t.Fatalf("encoding: %v, not %v", err, b.want)
				}
				if err != nil && string(out) != "before" {
					t.Fatal("a refused message left bytes behind")
				}
				if raw == nil && err == nil {
					raw = out[len("before"):]
				}
			}
			if raw == nil {
				return
			}
			if _, err := c.decode(raw); !errors.Is(err, b.want) {
				t.Fatalf("decoding: %v, not %v", err, b.want)
			}
		})
	}
}

func TestAnIPv4AddressHasOneEncoding(t *testing.T) {
	mapped := Connected{Addr: netip.MustParseAddr("::ffff:192.0.2.1")}.Append(nil)
	plain := Connected{Addr: netip.MustParseAddr("192.0.2.1")}.Append(nil)
	if string(mapped) != string(plain) {
		t.Fatal("a mapped address travels as another message")
	}
	zone := Connected{Addr: netip.MustParseAddr("fe80::1%eth0")}.Append(nil)
	if len(zone) != 17 {
		t.Fatal("a zone travels")
	}
}

func TestEveryLengthFieldOfResolvedIsChecked(t *testing.T) {
	b := sample{kind: TypeResolved, value: Resolved{Names: []string{"abc"}}}.body(t)
	for n := range 256 {
		b[7] = byte(n)
		if _, err := ParseResolved(b); (err == nil) != (n == 3) {
			t.Errorf("a name of 3 bytes announced with %d: %v", n, err)
		}
	}
	b[7] = 3
	for n := range 256 {
		b[5] = byte(n)
		if _, err := ParseResolved(b); (err == nil) != (n == 1) {
			t.Errorf("one answer announced as %d: %v", n, err)
		}
	}
}

func TestMessageSizesAddUp(t *testing.T) {
	switch {
	case Size != 2049, PayloadSize != 2032, MaxBody != 2026, HeaderSize != 6:
		t.Fatal("a size differs from protocol §2 and §5")
	case MaxDatagram < 1400: // product UDP-2
		t.Fatal("a datagram of 1,400 bytes does not fit")
	case len(sample{kind: TypeExtend, value: samples()[1].value}.body(t)) > MaxBody:
		t.Fatal("EXTEND with four addresses does not fit")
	}
	if binary.BigEndian.Uint32(AppendCredit(nil, 1<<18)) != 1<<18 {
		t.Fatal("CREDIT is not big-endian")
	}
}
