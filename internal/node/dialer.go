// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"net/netip"
	"sync"

	"chive/client"
	"chive/client/proxy"
)

// dialer lets the proxy use a client. Spec: product §4.5.
type dialer struct {
	c    *client.Client
	name string // of the listener, for the stories of streams
}

// Dial opens a stream.
func (d dialer) Dial(ctx context.Context, iso proxy.Isolation, t proxy.Target, early []byte) (proxy.Conn, error) {
	conn, err := d.c.Dial(client.WithListener(ctx, d.name), client.Isolation(iso), t.Host, t.Port, early)
	if err != nil {
		return nil, err
	}
	return &stream{Conn: conn}, nil
}

// Resolve looks a name up at an exit.
func (d dialer) Resolve(ctx context.Context, iso proxy.Isolation, name string) (proxy.Answer, error) {
	addrs, ttl, err := d.c.Resolve(client.WithListener(ctx, d.name), client.Isolation(iso), name)
	return proxy.Answer{Addrs: addrs, TTL: ttl}, err
}

// ResolveAddr looks the names of an address up at an exit.
func (d dialer) ResolveAddr(ctx context.Context, iso proxy.Isolation, addr netip.Addr) ([]string, error) {
	names, _, err := d.c.ResolveAddr(client.WithListener(ctx, d.name), client.Isolation(iso), addr)
	return names, err
}

// OpenUDP opens an association.
func (d dialer) OpenUDP(ctx context.Context, iso proxy.Isolation, t proxy.Target) (proxy.PacketConn, error) {
	conn, err := d.c.OpenUDP(client.WithListener(ctx, d.name), client.Isolation(iso), t.Host, t.Port)
	if err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	return &association{conn: conn, life: life, stop: stop}, nil
}

// refused keeps the story of what the proxy itself refused. Spec: product §4.6.
func (d dialer) refused(r proxy.Refused) { d.tell(r, false) }

// refusedAside is refused for the DNS port, which a machine asks by itself for names of its own
// network, again and again.
func (d dialer) refusedAside(r proxy.Refused) { d.tell(r, true) }

func (d dialer) tell(r proxy.Refused, aside bool) {
	d.c.Refused(client.WithListener(context.Background(), d.name), client.Refusal{
		Kind: r.Kind, Target: r.Target, Reason: r.Reason, Text: r.Text, Fix: r.Fix, Aside: aside,
	})
}

// stream is a client's stream whose Close gives up what is still open: the far
// side then sees a reset, not an end in order.
type stream struct {
	*client.Conn
	once sync.Once
}

// Close may come more than once.
func (s *stream) Close() error {
	var err error
	s.once.Do(func() {
		if !s.Over() {
			_ = s.Reset(endReset)
		}
		err = s.Conn.Close()
	})
	return err
}

// Failed keeps in the stream's story what the proxy made of its answer.
func (s *stream) Failed(r proxy.Refused) { s.Fail(r.Reason, r.Text, r.Fix) }

// endReset is the reason "reset" of END. Spec: protocol §5.
const endReset = 6

// association is a client's UDP association whose Close releases a waiting
// ReadFrom.
type association struct {
	conn *client.PacketConn
	life context.Context
	stop context.CancelFunc
}

func (a *association) ReadFrom(p []byte) (int, proxy.Target, error) {
	n, from, err := a.conn.ReadFrom(a.life, p)
	if err != nil {
		return 0, proxy.Target{}, err
	}
	return n, proxy.Target{Host: from.Addr().Unmap().String(), Port: from.Port()}, nil
}

// Permits reports whether the exit permits the target.
func (a *association) Permits(t proxy.Target) bool { return a.conn.Permits(t.Port) }

func (a *association) WriteTo(p []byte, t proxy.Target) error {
	return a.conn.WriteTo(p, t.Host, t.Port)
}

func (a *association) Close() error {
	a.stop()
	return a.conn.Close()
}
