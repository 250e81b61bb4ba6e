// SPDX-License-Identifier: BSD-3-Clause

package front

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"

	"chive/client/proxy"
	"chive/internal/socks"
)

// ErrServe means that a socket inside broke.
var ErrServe = errors.New("front: a socket of the front door broke")

// Config says what stands in front of what.
type Config struct {
	// Network and Address are where the running client has its proxy, as net.Dial
	// takes them: a port of this machine's, or a unix socket.
	Network, Address string
	// Key keeps this run apart from everything else, 1 to socks.MaxText bytes.
	Key string

	// Sockets that programs reach. Serve closes them.
	Proxy      net.Listener
	DNS        net.Listener   // may be nil
	DNSPackets net.PacketConn // may be nil
	Packets    []net.PacketConn
}

// Front serves one namespace.
type Front struct {
	cfg Config
	d   *dialer
}

// New returns a front door that has done nothing yet.
func New(cfg Config) *Front {
	return &Front{cfg: cfg, d: &dialer{network: cfg.Network, address: cfg.Address, key: cfg.Key}}
}

// Serve answers programs until ctx ends, closes every socket and returns nil then.
// Error: ErrServe.
func (f *Front) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	pool := newPool(f.cfg.Packets)
	defer pool.close()
	s, err := proxy.New(proxy.Config{
		// The running client judges private addresses itself.
		Options: proxy.Options{Name: "run", Testnet: true, ExtendedErrors: false},
		Dialer:  f.d, ListenPacket: pool.take,
	})
	if err != nil {
		return ErrServe
	}
	n := &names{d: f.d, room: make(chan struct{}, maxQuestions)}
	var tasks sync.WaitGroup
	var failed error
	if f.cfg.DNSPackets != nil {
		tasks.Go(func() { n.servePackets(ctx, f.cfg.DNSPackets) })
	}
	if f.cfg.DNS != nil {
		tasks.Go(func() { n.serveStreams(ctx, f.cfg.DNS) })
	}
	if s.Serve(ctx, f.cfg.Proxy) != nil {
		failed = ErrServe
	}
	cancel()
	tasks.Wait()
	return failed
}

// Check asks the running client's port whether a proxy answers there at all.
func (f *Front) Check(ctx context.Context) error {
	conn, err := f.d.dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// dialer is a proxy.Dialer by way of the running client's proxy.
type dialer struct{ network, address, key string }

// noProxy is the error of a port where no client answers any more.
type noProxy struct{}

func (noProxy) Error() string  { return "the client that chive run goes through is gone" }
func (noProxy) Reason() string { return "network_down" }
func (noProxy) Fix() string    { return "start that client again, with the same proxy port" }

func (d *dialer) dial(ctx context.Context) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, d.network, d.address)
	if err != nil {
		return nil, noProxy{}
	}
	return c, nil
}

// credentials of a request: this run, and who is kept apart within it.
func (d *dialer) credentials(iso proxy.Isolation) socks.Credentials {
	const digits = "0123456789abcdef"
	text := make([]byte, 0, 2*len(iso))
	for i := range len(iso) {
		text = append(text, digits[iso[i]>>4], digits[iso[i]&15])
	}
	return socks.Credentials{User: d.key, Password: string(text)}
}

// ask does one request on a new connection, which is closed unless ask succeeds.
func (d *dialer) ask(ctx context.Context, ask func(net.Conn) error) (net.Conn, error) {
	c, err := d.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := ask(c); err != nil {
		_ = c.Close()
		if errors.Is(err, socks.ErrBroken) && ctx.Err() == nil {
			err = noProxy{}
		}
		return nil, err
	}
	return c, nil
}

// Dial implements proxy.Dialer.
func (d *dialer) Dial(ctx context.Context, iso proxy.Isolation, t proxy.Target, early []byte) (proxy.Conn, error) {
	c, err := d.ask(ctx, func(c net.Conn) error {
		return socks.Connect(ctx, c, d.credentials(iso), t.Host, t.Port, early)
	})
	if err != nil {
		return nil, err
	}
	return &stream{Conn: c}, nil
}

// Resolve implements proxy.Dialer.
func (d *dialer) Resolve(ctx context.Context, iso proxy.Isolation, name string) (proxy.Answer, error) {
	var found netip.Addr
	c, err := d.ask(ctx, func(c net.Conn) (err error) {
		found, err = socks.Resolve(ctx, c, d.credentials(iso), name)
		return err
	})
	if err != nil {
		return proxy.Answer{}, err
	}
	_ = c.Close()
	return proxy.Answer{Addrs: []netip.Addr{found}, TTL: answerTTL}, nil
}

// ResolveAddr implements proxy.Dialer.
func (d *dialer) ResolveAddr(ctx context.Context, iso proxy.Isolation, addr netip.Addr) ([]string, error) {
	var found string
	c, err := d.ask(ctx, func(c net.Conn) (err error) {
		found, err = socks.ResolveAddr(ctx, c, d.credentials(iso), addr)
		return err
	})
	if err != nil {
		return nil, err
	}
	_ = c.Close()
	return []string{found}, nil
}

// OpenUDP implements proxy.Dialer.
func (d *dialer) OpenUDP(ctx context.Context, iso proxy.Isolation, _ proxy.Target) (proxy.PacketConn, error) {
	var at netip.AddrPort
	c, err := d.ask(ctx, func(c net.Conn) (err error) {
		at, err = socks.Associate(ctx, c, d.credentials(iso))
		return err
	})
	if err != nil {
		return nil, err
	}
	if !at.Addr().IsLoopback() { // never to another machine in the clear
		_ = c.Close()
		return nil, noProxy{}
	}
	p, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(at))
	if err != nil {
		_ = c.Close()
		return nil, noProxy{}
	}
	return newAssociation(c, p), nil
}
