// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"net"
	"net/netip"

	"chive/internal/limit"
	"chive/relay/exit"
)

// meteredNetwork is an exit's network whose sockets to destinations are under the
// relay's meter, as those of its links are. The system's look-ups of names are not.
//
// Spec: product REL-4.
type meteredNetwork struct {
	exit.Network
	meter *limit.Meter
}

// WithJudge implements exit.Judged; it must reach the network below.
func (m meteredNetwork) WithJudge(permit func(netip.AddrPort) bool) exit.Network {
	if j, ok := m.Network.(exit.Judged); ok {
		m.Network = j.WithJudge(permit)
	}
	return m
}

func (m meteredNetwork) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	c, err := m.Network.DialTCP(ctx, addr)
	if err != nil {
		return nil, err
	}
	return m.meter.Conn(c), nil
}

func (m meteredNetwork) ListenUDP(ctx context.Context, local netip.Addr) (net.PacketConn, error) {
	c, err := m.Network.ListenUDP(ctx, local)
	if err != nil {
		return nil, err
	}
	return m.meter.PacketConn(c), nil
}
