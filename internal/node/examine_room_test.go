// SPDX-License-Identifier: BSD-3-Clause

package node

import "testing"

// TestLittleRoomIsTold (CLI-11): of a disk that has little, and of none that nobody knows of.
func TestLittleRoomIsTold(t *testing.T) {
	for want, c := range map[string]struct {
		free  uint64
		known bool
	}{
		"The disk of the state folder has 0 MiB left":   {0, true},
		"The disk of the state folder has 199 MiB left": {lowSpace - 1, true},
	} {
		if got := roomText(c.free, c.known); got != want {
			t.Errorf("%q", got)
		}
	}
	if got := roomText(lowSpace, true) + roomText(0, false) + littleRoom("") + littleRoom("/none/such"); got != "" {
		t.Errorf("%q", got)
	}
}
