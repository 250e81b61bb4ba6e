// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"net"
	"net/netip"
	"testing"
)

// TestTCPListensAtItsAddressesVersionOnly: what was not asked for is not open.
func TestTCPListensAtItsAddressesVersionOnly(t *testing.T) {
	if l, err := net.Listen("tcp6", "[::1]:0"); err != nil {
		t.Skip("no IPv6 here")
	} else {
		l.Close()
	}
	for _, c := range []struct {
		listen string
		v4, v6 bool
	}{
		{"0.0.0.0:0", true, false}, {"127.0.0.1:0", true, false}, {"[::ffff:127.0.0.1]:0", true, false},
		{"[::1]:0", false, true}, {"[::]:0", true, true},
	} {
		l, err := TCP{}.Listen(netip.MustParseAddrPort(c.listen))
		if err != nil {
			t.Errorf("%s: %v", c.listen, err)
			continue
		}
		port := l.Addr().(*net.TCPAddr).AddrPort().Port()
		for host, want := range map[string]bool{"127.0.0.1": c.v4, "::1": c.v6} {
			conn, err := TCP{}.Dial(t.Context(), netip.AddrPortFrom(netip.MustParseAddr(host), port))
			if (err == nil) != want {
				t.Errorf("%s: reached by %s: %v, want %v", c.listen, host, err == nil, want)
			}
			if err == nil {
				conn.Close()
			}
		}
		l.Close()
	}
}

// wrapped is a connection as a metered Transport makes it.
type wrapped struct{ net.Conn }

func (w wrapped) NetConn() net.Conn { return w.Conn }

// TestSocketsAreFoundBelowAWrapper: else they lose their options.
func TestSocketsAreFoundBelowAWrapper(t *testing.T) {
	tcp := new(net.TCPConn)
	for _, c := range []struct {
		conn net.Conn
		want bool
	}{{tcp, true}, {wrapped{tcp}, true}, {wrapped{nil}, false}, {nil, false}} {
		if got, ok := socket(c.conn); ok != c.want || ok && got != tcp {
			t.Errorf("%T: %v", c.conn, ok)
		}
	}
}
