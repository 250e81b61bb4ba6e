// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"chive/client"
)

// talk is a hand-made SOCKS5 connection to the local port.
type talk struct {
	*net.TCPConn
	t *testing.T
}

// socks5 opens a connection and agrees on method 0.
func (c *compat) socks5(t *testing.T) *talk {
	t.Helper()
	conn, err := net.DialTimeout("tcp", c.socks, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	h := &talk{conn.(*net.TCPConn), t}
	h.send([]byte{5, 1, 0})
	if got := h.read(2); !bytes.Equal(got, []byte{5, 0}) {
		t.Fatalf("greeting answered with % x", got)
	}
	return h
}

func (h *talk) send(p []byte) {
	h.t.Helper()
	if _, err := h.Write(p); err != nil {
		h.t.Fatal(err)
	}
}

func (h *talk) read(n int) []byte {
	h.t.Helper()
	p := make([]byte, n)
	if _, err := io.ReadFull(h, p); err != nil {
		h.t.Fatal(err)
	}
	return p
}

// request sends a command for host and port, and returns the reply's code and the
// host and port in it.
func (h *talk) request(command byte, host string, port uint16) (code byte, bound string, boundPort uint16) {
	h.t.Helper()
	h.send(append([]byte{5, command, 0}, socksAddress(host, port)...))
	head := h.read(4)
	bound, boundPort = h.address(head[3])
	return head[1], bound, boundPort
}

// address reads an address field of the given type.
func (h *talk) address(kind byte) (host string, port uint16) {
	h.t.Helper()
	switch kind {
	case 1:
		host = netip.AddrFrom4([4]byte(h.read(4))).String()
	case 3:
		host = string(h.read(int(h.read(1)[0])))
	case 4:
		host = netip.AddrFrom16([16]byte(h.read(16))).String()
	default:
		h.t.Fatalf("address type %d", kind)
	}
	return host, binary.BigEndian.Uint16(h.read(2))
}

// socksAddress encodes type, address and port.
func socksAddress(host string, port uint16) []byte {
	var out []byte
	if a, err := netip.ParseAddr(host); err != nil {
		out = append([]byte{3, byte(len(host))}, host...)
	} else if a.Is4() {
		out = append([]byte{1}, a.AsSlice()...)
	} else {
		out = append([]byte{4}, a.AsSlice()...)
	}
	return binary.BigEndian.AppendUint16(out, port)
}

// Commands of Tor's extension.
const (
	commandAssociate  = 3
	commandResolve    = 0xf0
	commandResolvePTR = 0xf1
)

func (c *compat) testResolve(t *testing.T) {
	addr := c.town.addr(siteName).String()
	c.row(t, "RESOLVE", func(t *testing.T) {
		if code, got, _ := c.socks5(t).request(commandResolve, siteName, 0); code != 0 || got != addr {
			t.Errorf("code %d, %s, want %s", code, got, addr)
		}
		if code, _, _ := c.socks5(t).request(commandResolve, missingName, 0); code != 4 {
			t.Errorf("unknown name: code %d", code)
		}
		if code, got, _ := c.socks5(t).request(commandResolve, TargetName, 0); code != 0 || got != targetAddr.String() {
			t.Errorf("built-in server: code %d, %s", code, got)
		}
	})
	c.row(t, "RESOLVE_PTR", func(t *testing.T) {
		if code, got, _ := c.socks5(t).request(commandResolvePTR, addr, 0); code != 0 || got != siteName {
			t.Errorf("code %d, %s, want %s", code, got, siteName)
		}
		if code, _, _ := c.socks5(t).request(commandResolvePTR, "192.31.196.250", 0); code != 4 {
			t.Errorf("unknown address: code %d", code)
		}
	})
	c.row(t, "reply codes", func(t *testing.T) {
		for _, r := range []struct {
			command byte
			host    string
			port    uint16
			code    byte
		}{
			{1, siteName, 80, 0}, {1, siteName, 81, 5}, {1, missingName, 80, 4}, {1, "x.chive.alt", 80, 4},
			{1, "10.1.2.3", 80, 2}, {2, siteName, 80, 7}, {9, siteName, 80, 7},
		} {
			if code, _, _ := c.socks5(t).request(r.command, r.host, r.port); code != r.code {
				t.Errorf("command %d %s:%d: code %d, want %d", r.command, r.host, r.port, code, r.code)
			}
		}
	})
	c.row(t, "what the port itself refuses has a story", func(t *testing.T) {
		cl := c.net.Clients[0]
		for _, r := range []struct {
			command    byte
			host, kind string
			target     string
		}{{1, "printer.local", client.KindConnect, "printer.local:631"}, {commandResolve, "x.onion", client.KindResolve, "x.onion"}} {
			if code, _, _ := c.socks5(t).request(r.command, r.host, 631); code != 4 {
				t.Errorf("%s: code %d", r.host, code)
			}
			e, ok := cl.Stream(client.LastStream)
			if !ok || e.Kind != r.kind || e.Target != r.target || e.Listener != c.socks || e.Reason != "name_not_found" || e.Fix == "" ||
				len(e.Tries) != 1 || e.Tries[0].Phase != "client" {
				t.Errorf("%s: %v %+v", r.host, ok, e)
			}
		}
	})
	c.row(t, "tor-resolve", func(t *testing.T) {
		resolve := need(t, "tor-resolve", "tor")
		for _, args := range [][]string{{siteName, c.socks}, {"-4", siteName, c.socks}, {"-5", siteName, c.socks}} {
			c.must(t, program{path: resolve, args: args}, addr+"\n")
		}
		c.must(t, program{path: resolve, args: []string{"-x", addr, c.socks}}, siteName+"\n")
		if r := c.run(t, program{path: resolve, args: []string{missingName, c.socks}}); r.code == 0 {
			t.Errorf("unknown name: %s", r)
		}
	})
}

// associate opens a UDP association and returns a socket that speaks to it. The
// association lasts as long as its TCP connection, until the test ends.
func (c *compat) associate(t *testing.T) *net.UDPConn {
	t.Helper()
	code, host, port := c.socks5(t).request(commandAssociate, "0.0.0.0", 0)
	if code != 0 || host != "127.0.0.1" {
		t.Fatalf("UDP ASSOCIATE: code %d, %s", code, host)
	}
	conn, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(fmt.Sprintf("%s:%d", host, port))))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ask sends one datagram through an association and returns the answer and who it
// is from. A datagram may be lost: it asks again.
func ask(t *testing.T, conn *net.UDPConn, host string, port uint16, payload []byte) (from string, answer []byte) {
	t.Helper()
	framed := append([]byte{0, 0, 0}, socksAddress(host, port)...)
	framed = append(framed, payload...)
	buf := make([]byte, 4096)
	for range 5 {
		if _, err := conn.Write(framed); err != nil {
			t.Fatal(err)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, err := conn.Read(buf)
		if err != nil {
			continue
		}
		if n < 10 || !bytes.Equal(buf[:4], []byte{0, 0, 0, 1}) {
			t.Fatalf("answer framed as % x", buf[:min(n, 16)])
		}
		src := netip.AddrPortFrom(netip.AddrFrom4([4]byte(buf[4:8])), binary.BigEndian.Uint16(buf[8:10]))
		return src.String(), buf[10:n]
	}
	t.Fatal("no answer to five datagrams")
	return "", nil
}

// responder answers datagrams on loopback until the test ends, and returns its port.
func responder(t *testing.T, answer func(question []byte) []byte) uint16 {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteToUDPAddrPort(answer(buf[:n]), from)
		}
	}()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
}

// dnsQuestion is a question for the IPv4 addresses of printer.example.
var dnsQuestion = append([]byte{0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0}, "\x07printer\x07example\x00\x00\x01\x00\x01"...)

// dnsAnswer is the record that answers it: 198.51.100.7, for a minute.
var dnsAnswer = []byte{0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 51, 100, 7}

func answerDNS(question []byte) []byte {
	out := bytes.Clone(question)
	out[2], out[3], out[7] = 0x81, 0x80, 1 // an answer, without error, one record
	return append(out, dnsAnswer...)
}

func (c *compat) testUDP(t *testing.T) {
	echo := responder(t, bytes.Clone)
	dns := responder(t, answerDNS)
	c.row(t, "DNS question", func(t *testing.T) {
		conn := c.associate(t)
		for _, host := range []string{"127.0.0.1", localName} {
			from, got := ask(t, conn, host, dns, dnsQuestion)
			if want := answerDNS(dnsQuestion); !bytes.Equal(got, want) || from != fmt.Sprintf("127.0.0.1:%d", dns) {
				t.Errorf("%s: from %s: % x", host, from, got)
			}
		}
	})
	c.row(t, "echo", func(t *testing.T) {
		conn := c.associate(t)
		defer func() {
			target := fmt.Sprintf("127.0.0.1:%d", echo)
			if !slices.ContainsFunc(c.net.Clients[0].Streams(), func(e client.StreamExplained) bool { return e.Kind == client.KindUDP && e.Target == target }) {
				t.Error("no story says where the first datagram went")
			}
		}()
		for _, size := range []int{0, 1, 500, 1400} {
			payload := make([]byte, size)
			_, _ = stream(7).Read(payload)
			if from, got := ask(t, conn, "127.0.0.1", echo, payload); !bytes.Equal(got, payload) || from != fmt.Sprintf("127.0.0.1:%d", echo) {
				t.Errorf("%d bytes: from %s, %d bytes, equal %v", size, from, len(got), bytes.Equal(got, payload))
			}
		}
	})
	c.row(t, "both on one association", func(t *testing.T) {
		conn := c.associate(t)
		for i := range byte(20) {
			if _, got := ask(t, conn, localName, echo, []byte{i}); !bytes.Equal(got, []byte{i}) {
				t.Errorf("echo %d: % x", i, got)
			}
			if _, got := ask(t, conn, localName, dns, dnsQuestion); !bytes.HasSuffix(got, dnsAnswer) {
				t.Errorf("DNS %d: % x", i, got)
			}
		}
	})
	c.row(t, "datagrams to a closed port and to an unknown name do no harm", func(t *testing.T) {
		conn := c.associate(t)
		closed := netip.MustParseAddrPort(freePort(t))
		for range 3 {
			for _, a := range [][]byte{socksAddress("127.0.0.1", closed.Port()), socksAddress(missingName, 9), socksAddress("10.1.2.3", 9)} {
				if _, err := conn.Write(append(append([]byte{0, 0, 0}, a...), "lost"...)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, got := ask(t, conn, localName, echo, []byte("alive")); string(got) != "alive" {
			t.Errorf("got %q", got)
		}
	})
}
