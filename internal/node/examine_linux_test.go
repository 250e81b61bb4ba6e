// SPDX-License-Identifier: BSD-3-Clause

package node

import "testing"

// TestLittleRoomIsTold (CLI-11): of a disk that takes nothing, as /proc, and of none that does
// not exist.
func TestLittleRoomIsTold(t *testing.T) {
	if got := littleRoom("/proc"); got != "The disk of the state folder has 0 MiB left" {
		t.Errorf("%q", got)
	}
	for _, dir := range []string{"", "/none/such"} {
		if got := littleRoom(dir); got != "" {
			t.Errorf("%s: %q", dir, got)
		}
	}
}
