// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
)

// shared are the addresses that providers give to customers behind a router of theirs.
var shared = netip.MustParsePrefix("100.64.0.0/10")

// IsPublic reports whether an address can be reached from outside, as far as its
// number tells.
func IsPublic(a netip.Addr) bool {
	a = a.Unmap()
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a)
}

// interfaceAddrs returns the addresses of this machine.
func interfaceAddrs() ([]netip.Addr, error) {
	found, err := net.InterfaceAddrs()
	if err != nil {
		return nil, err
	}
	var out []netip.Addr
	for _, f := range found {
		if p, err := netip.ParsePrefix(f.String()); err == nil {
			out = append(out, p.Addr())
		}
	}
	return out, nil
}

// routes is where Linux shows its routes. Other systems do not tell in a file.
const routes = "/proc/net/route"

// defaultGateway returns the router of the default route; invalid: not known.
func defaultGateway() netip.Addr {
	f, err := os.Open(routes)
	if err != nil {
		return netip.Addr{}
	}
	defer f.Close()
	return gatewayIn(f)
}

// gatewayIn reads a table of routes as Linux prints it.
func gatewayIn(table io.Reader) netip.Addr {
	lines := bufio.NewScanner(io.LimitReader(table, 1<<20))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 8 || fields[1] != "00000000" || fields[7] != "00000000" {
			continue
		}
		b, err := hex.DecodeString(fields[2])
		if err != nil || len(b) != 4 {
			continue
		}
		var ip [4]byte
		binary.BigEndian.PutUint32(ip[:], binary.NativeEndian.Uint32(b))
		if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 { // printed in the machine's order
			copy(ip[:], b)
		}
		if a := netip.AddrFrom4(ip); a.IsValid() && !a.IsUnspecified() {
			return a
		}
	}
	return netip.Addr{}
}

// localToward returns this machine's address on the way to a router. Nothing is sent.
func localToward(gateway netip.Addr) netip.Addr {
	if !gateway.IsValid() {
		return netip.Addr{}
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(gateway, 9)))
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
