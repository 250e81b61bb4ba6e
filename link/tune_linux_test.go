// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReservedDescriptors(t *testing.T) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Skip(err)
	}
	ln, err := TCP{}.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := TCP{}.Dial(context.Background(), ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if scarce(c) {
		t.Error("scarce with", limit.Cur)
	}
	if isLate(uintptr(limit.Cur-ReservedDescriptors-1)) || !isLate(uintptr(limit.Cur-ReservedDescriptors)) {
		t.Error("the reserve is not", ReservedDescriptors)
	}
}

func TestSocketsOfLinksAreTuned(t *testing.T) {
	ln, err := TCP{}.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	c, err := TCP{}.Dial(context.Background(), ln.Addr().(*net.TCPAddr).AddrPort())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	tune(c)
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		for _, o := range [][2]int{{unix.TCP_NODELAY, 1}, {unix.TCP_NOTSENT_LOWAT, notSentLowat}, {unix.TCP_USER_TIMEOUT, userTimeout}} {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, o[0]); err != nil || got != o[1] {
				t.Errorf("option %d: %d, %v", o[0], got, err)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}
