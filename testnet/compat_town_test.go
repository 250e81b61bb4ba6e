// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chive/relay/exit"
)

// A town is the outside of the compatibility tests: names and addresses that only
// the exits of one testnet know, each leading to a listener on loopback. Who goes
// around the local port finds nobody there.
type town struct {
	mu    sync.Mutex
	names map[string]netip.Addr
	ports map[netip.AddrPort]string // where a listener really is
	next  byte
	site  *site
	asked atomic.Int64 // look-ups and connections of exits
}

// townNet is where the town's addresses are: like any public address to programs
// (torsocks does not connect to loopback), never connected to by anybody.
var townNet = netip.AddrFrom4([4]byte{192, 31, 196, 0})

// Names of the town.
const (
	siteName    = "site.test"    // http and https
	farName     = "far.test"     // the same, resolved and connected to as slowly as far sites are
	gitName     = "git.test"     // git over http
	shellName   = "shell.test"   // ssh
	silentName  = "silent.test"  // takes no connection and refuses none
	localName   = "local.test"   // 127.0.0.1 as it is, for UDP
	missingName = "missing.test" // does not exist
)

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{names: make(map[string]netip.Addr), ports: make(map[netip.AddrPort]string), next: 10}
	w.names[localName] = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	w.site = newSite(t, w)
	w.listen(t, silentName, 80)
	return w
}

// listen opens a listener on loopback that the town knows as name:port.
func (w *town) listen(t *testing.T, name string, port uint16) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	w.lead(name, port, ln.Addr().String())
	return ln
}

// lead makes a listener of this machine the town's name:port.
func (w *town) lead(name string, port uint16, real string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr, known := w.names[name]
	if !known {
		b := townNet.As4()
		b[3] = w.next
		w.next++
		addr = netip.AddrFrom4(b)
		w.names[name] = addr
	}
	w.ports[netip.AddrPortFrom(addr, port)] = real
}

// addr returns the address of name.
func (w *town) addr(name string) netip.Addr {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.names[name]
}

// townFabric is a Loopback whose exits know a town.
type townFabric struct {
	*Loopback
	town *town
}

// Exit implements Fabric.
func (f *townFabric) Exit(i int) exit.Network { return &townExit{f.Loopback.Exit(i), f.town} }

// townExit is an exit's network that leads to the town.
type townExit struct {
	exit.Network
	town *town
}

// WithJudge implements exit.Judged.
func (x *townExit) WithJudge(permit func(netip.AddrPort) bool) exit.Network {
	return &townExit{x.Network.(exit.Judged).WithJudge(permit), x.town}
}

// distance is how long farName's name server and host take to answer.
const distance = 150 * time.Millisecond

func travel(ctx context.Context) error {
	select {
	case <-time.After(distance):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// LookupAddrs knows the town and the built-in server, and asks nobody else.
func (x *townExit) LookupAddrs(ctx context.Context, host string) ([]netip.Addr, error) {
	x.town.asked.Add(1)
	if host == farName {
		if err := travel(ctx); err != nil {
			return nil, err
		}
	}
	if host == TargetName {
		return x.Network.LookupAddrs(ctx, host)
	}
	if a := x.town.addr(host); a.IsValid() {
		return []netip.Addr{a}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// LookupNames implements exit.Network.
func (x *townExit) LookupNames(_ context.Context, addr netip.Addr) ([]string, error) {
	x.town.mu.Lock()
	defer x.town.mu.Unlock()
	for name, a := range x.town.names {
		if a == addr {
			return []string{name + "."}, nil
		}
	}
	return nil, &net.DNSError{Err: "no such host", Name: addr.String(), IsNotFound: true}
}

// DialTCP implements exit.Network.
func (x *townExit) DialTCP(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	x.town.asked.Add(1)
	x.town.mu.Lock()
	real, known := x.town.ports[addr]
	x.town.mu.Unlock()
	if known {
		switch addr.Addr() {
		case x.town.addr(farName):
			if err := travel(ctx); err != nil {
				return nil, err
			}
		case x.town.addr(silentName):
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return x.Network.DialTCP(ctx, netip.MustParseAddrPort(real))
	}
	if netip.PrefixFrom(townNet, 24).Contains(addr.Addr()) && addr.Addr() != targetAddr {
		return nil, &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	}
	return x.Network.DialTCP(ctx, addr)
}

func itoa(n int) string { return strconv.Itoa(n) }
