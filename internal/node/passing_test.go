// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
)

// TestAddressesForSomeTimeAreNoPlaceForARelay (product CLI-11): those for privacy, those on
// their way out, those that another machine has.
func TestAddressesForSomeTimeAreNoPlaceForARelay(t *testing.T) {
	const table = `26000000000000000000000000000001 02 40 00 01     eth0
26000000000000000000000000000002 02 40 00 80     eth0
26000000000000000000000000000003 02 40 00 21     eth0
26000000000000000000000000000004 02 40 00 a0     eth0
26000000000000000000000000000005 02 40 00 00     eth0
26000000000000000000000000000006 02 40 00 88     eth0
26000000000000000000000000000007 02 40 00 c0     eth0
00000000000000000000000000000001 01 80 10 81       lo
2600000000000000000000000000000  02 40 00 01     eth0
26000000000000000000000000000008 02 40 00 zz     eth0
2600000000000000000000000000000901 02 40 00 01     eth0
26000000000000000000000000000008 02 40

`
	leave := passingIn(strings.NewReader(table))
	if got := fmt.Sprint(leave); got != "[2600::1 2600::3 2600::4 2600::6]" {
		t.Errorf("for some time only: %s", got)
	}
	var all []netip.Addr
	for _, a := range []string{"8.8.8.8", "2600::1", "2600::2", "2600::4", "2600::7", "fe80::1%eth0"} {
		all = append(all, netip.MustParseAddr(a))
	}
	lasting, passing := sortLasting(all, leave)
	if got := fmt.Sprint(lasting, passing); got != "[8.8.8.8 2600::2 2600::7 fe80::1%eth0] [2600::1 2600::4]" {
		t.Error(got)
	}
}
