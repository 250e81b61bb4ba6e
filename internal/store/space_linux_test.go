// SPDX-License-Identifier: BSD-3-Clause

package store

import "testing"

func TestFreeSpace(t *testing.T) {
	if free, known := FreeSpace(t.TempDir()); !known || free == 0 {
		t.Errorf("a disk: %d bytes, %v", free, known)
	}
	for _, dir := range []string{"/proc", "/none/such"} { // which has no blocks, and is not there
		if free, known := FreeSpace(dir); known || free > 0 {
			t.Errorf("%s: %d bytes, %v", dir, free, known)
		}
	}
}
