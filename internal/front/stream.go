// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"io"
	"net"
	"sync"
	"sync/atomic"

	"chive/client/proxy"
	"chive/internal/socks"
)

// stream is a connection through the running client, as proxy.Conn has it.
type stream struct {
	net.Conn
	readEnd, writeEnd atomic.Bool
	once              sync.Once
}

// Read returns io.EOF only when the far side ended in order: the running client
// resets what broke.
func (s *stream) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	if err == io.EOF {
		s.readEnd.Store(true)
	}
	return n, err
}

// CloseWrite ends our direction.
func (s *stream) CloseWrite() error {
	c, ok := s.Conn.(interface{ CloseWrite() error })
	if !ok {
		return io.ErrClosedPipe
	}
	s.writeEnd.Store(true)
	return c.CloseWrite()
}

// Close resets what is still open.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		if t, ok := s.Conn.(*net.TCPConn); ok && !(s.readEnd.Load() && s.writeEnd.Load()) {
			_ = t.SetLinger(0)
		}
		err = s.Conn.Close()
	})
	return err
}

// association is a UDP association through the running client. It lasts as long as its
// connection does.
type association struct {
	control net.Conn
	packets *net.UDPConn

	send sync.Mutex // of buffer
	out  []byte

	in []byte // the one reader's
}

// maxPacket is more than a datagram and its head.
const maxPacket = 64 << 10

func newAssociation(control net.Conn, packets *net.UDPConn) *association {
	a := &association{control: control, packets: packets, in: make([]byte, maxPacket)}
	go func() { // ends with the association
		_, _ = io.Copy(io.Discard, control)
		_ = packets.Close()
	}()
	return a
}

// ReadFrom implements proxy.PacketConn.
func (a *association) ReadFrom(p []byte) (int, proxy.Target, error) {
	for {
		n, err := a.packets.Read(a.in)
		if err != nil {
			return 0, proxy.Target{}, err
		}
		host, port, payload, err := socks.CutHeader(a.in[:n])
		if err != nil || len(payload) > len(p) {
			continue // not what the proxy sends
		}
		return copy(p, payload), proxy.Target{Host: host, Port: port}, nil
	}
}

// WriteTo implements proxy.PacketConn.
func (a *association) WriteTo(p []byte, t proxy.Target) error {
	a.send.Lock()
	defer a.send.Unlock()
	b, err := socks.AppendHeader(a.out[:0], t.Host, t.Port)
	if err != nil {
		return noProxy{}
	}
	a.out = append(b, p...)
	_, err = a.packets.Write(a.out)
	return err
}

// Close implements proxy.PacketConn.
func (a *association) Close() error {
	_ = a.packets.Close()
	return a.control.Close()
}
