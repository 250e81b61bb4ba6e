// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"chive/relay/exit"
)

// addressFlags is where Linux says what kind each IPv6 address of this machine is. Other
// systems do not tell in a file.
const addressFlags = "/proc/net/if_inet6"

// Flags of an address of Linux that no relay is to be at: one for privacy, which changes every day
// (RFC 8981); one that another machine has, too; one that is on its way out.
const (
	flagTemporary  = 0x01
	flagDuplicate  = 0x08
	flagDeprecated = 0x20
)

// lastingAddrs returns the addresses of this machine's interfaces of which a relay may say that
// others reach it there, and those that are there for some time only.
func lastingAddrs() (lasting, passing []netip.Addr, err error) {
	all, err := exit.InterfaceAddrs()
	if err != nil {
		return nil, nil, err
	}
	f, err := os.Open(addressFlags)
	if err != nil {
		return all, nil, nil // not told here
	}
	defer f.Close()
	lasting, passing = sortLasting(all, passingIn(f))
	return lasting, passing, nil
}

// sortLasting parts addresses.
func sortLasting(all, leave []netip.Addr) (lasting, passing []netip.Addr) {
	for _, a := range all {
		if slices.Contains(leave, a.WithZone("")) {
			passing = append(passing, a)
		} else {
			lasting = append(lasting, a)
		}
	}
	return lasting, passing
}

// passingIn reads which addresses are for some time only in a table as Linux prints it: the
// address, index, length of the prefix, scope, flags and the interface.
func passingIn(table io.Reader) (out []netip.Addr) {
	lines := bufio.NewScanner(io.LimitReader(table, 1<<20))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) < 5 {
			continue
		}
		b, err := hex.DecodeString(fields[0])
		flags, err2 := strconv.ParseUint(fields[4], 16, 32)
		a, is := netip.AddrFromSlice(b)
		if err == nil && err2 == nil && is && a.Is6() && !a.IsLoopback() && flags&(flagTemporary|flagDuplicate|flagDeprecated) != 0 {
			out = append(out, a)
		}
	}
	return out
}
