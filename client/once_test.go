// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"strings"
	"testing"

	"chive/link"
)

// TestAFixIsSaidOnce (product SOCKS-11): what is said of a proxy that fails has its fix once.
func TestAFixIsSaidOnce(t *testing.T) {
	c := &Client{cfg: Config{Proxied: true}}
	for _, err := range []error{link.ErrProxy, link.ErrTimeout} {
		_, why := c.troubleOf(err)
		for _, f := range []*Failure{c.errDown(why, err), errStarting(why, c.troubleFix(err, "no_route"))} {
			all := strings.ToLower(f.Error() + " " + f.Fix())
			if strings.Count(all, "that it runs") != 1 || !strings.Contains(all, "nothing goes past it") {
				t.Errorf("%s", all)
			}
		}
	}
}
