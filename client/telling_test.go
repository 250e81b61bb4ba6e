// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"chive/link"
)

// byAddress is a Transport at which some addresses fail.
type byAddress struct {
	link.Transport
	fails map[netip.AddrPort]error
}

func (b *byAddress) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if err := b.fails[addr]; err != nil {
		return nil, err
	}
	return b.Transport.Dial(ctx, addr)
}

// TestTheMostTellingErrorIsTold: of several addresses, in either order.
func TestTheMostTellingErrorIsTold(t *testing.T) {
	for _, c := range []struct{ says, less error }{
		{link.ErrRefused, link.ErrNetworkDown}, {link.ErrTimeout, link.ErrUnreachable}, {link.ErrRefused, link.ErrTimeout},
		{link.ErrCertificateTime, link.ErrRefused}, {link.ErrHandshake, link.ErrNetworkDown}, {errOtherRelay, link.ErrTimeout},
		{link.ErrProxy, link.ErrRefused}, {link.ErrHandshake, link.ErrProxy}, {link.ErrNetworkDown, errPorts}, {link.ErrConnection, context.Canceled},
	} {
		if a, b := moreTelling(c.says, c.less), moreTelling(c.less, c.says); a != c.says || b != c.says {
			t.Errorf("of %v and %v: %v, %v", c.says, c.less, a, b)
		}
	}
	inVillage(t, 4, func(t *testing.T, v *village) {
		first, second := netip.MustParseAddrPort("[2001:db8::1]:9"), netip.MustParseAddrPort("13.9.9.9:9")
		proxy := &byAddress{fails: map[netip.AddrPort]error{first: syscall.ENETUNREACH, second: syscall.ECONNREFUSED}}
		w := v.walk(func(c *Config) { proxy.Transport, c.Transport = c.Transport, proxy })
		defer w.end()
		w.settleIn(t)
		for _, addrs := range [][]netip.AddrPort{{first, second}, {second, first}} {
			if _, err := w.dialLink(t.Context(), v.relays[0].rid, addrs); !errors.Is(err, link.ErrRefused) {
				t.Errorf("%v: %v", addrs, err)
			}
		}
		// A dial that was given up was not left out for its port.
		proxy.fails[first] = context.Canceled
		if _, err := w.dialLink(t.Context(), v.relays[0].rid, []netip.AddrPort{first}); !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		if _, err := w.dialLink(t.Context(), v.relays[0].rid, nil); !errors.Is(err, errPorts) {
			t.Errorf("no address: %v", err)
		}
	})
}
