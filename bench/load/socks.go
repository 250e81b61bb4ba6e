// SPDX-License-Identifier: BSD-3-Clause

package load

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"
)

// ErrProxy says that the proxy refused or spoke something else than SOCKS5.
var ErrProxy = errors.New("load: the proxy refused")

// Client reaches a target through a proxy.
type Client struct {
	// Proxy is the SOCKS5 proxy, host:port; empty reaches the target directly.
	Proxy string
	// Target is the destination.
	Target netip.AddrPort
}

// dial opens a stream of the isolation key to the target. Streams of different
// keys share no circuit: both networks separate them by user name. deadline bounds
// everything done with the stream.
func (c *Client) dial(ctx context.Context, key string, deadline time.Time) (net.Conn, error) {
	to := c.Proxy
	if to == "" {
		to = c.Target.String()
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp4", to)
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		conn.Close()
		return nil, err
	}
	if c.Proxy != "" {
		if err := handshake(conn, key, c.Target); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// handshake asks a SOCKS5 proxy for a stream to target, one step after the other,
// as most programs do.
func handshake(conn io.ReadWriter, key string, target netip.AddrPort) error {
	if len(key) == 0 || len(key) > 255 || !target.Addr().Is4() {
		return ErrProxy
	}
	if _, err := conn.Write([]byte{5, 1, 2}); err != nil {
		return err
	}
	var two [2]byte
	if _, err := io.ReadFull(conn, two[:]); err != nil {
		return err
	}
	if two != [2]byte{5, 2} {
		return ErrProxy
	}
	ask := append([]byte{1, byte(len(key))}, key...)
	ask = append(ask, 1, 'x')
	if _, err := conn.Write(ask); err != nil {
		return err
	}
	if _, err := io.ReadFull(conn, two[:]); err != nil {
		return err
	}
	if two[1] != 0 {
		return ErrProxy
	}
	ip := target.Addr().As4()
	request := append([]byte{5, 1, 0, 1}, ip[:]...)
	request = binary.BigEndian.AppendUint16(request, target.Port())
	if _, err := conn.Write(request); err != nil {
		return err
	}
	return readReply(conn)
}

// readReply reads a SOCKS5 reply.
func readReply(r io.Reader) error {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return err
	}
	if head[0] != 5 || head[1] != 0 {
		return fmt.Errorf("%w with code %d", ErrProxy, head[1])
	}
	rest := 0 // after the first byte of the address
	switch head[3] {
	case 1:
		rest = 3 + 2
	case 3:
		rest = int(head[4]) + 2
	case 4:
		rest = 15 + 2
	default:
		return ErrProxy
	}
	_, err := io.ReadFull(r, make([]byte, rest))
	return err
}
