// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"strings"
	"testing"
)

// TestEveryFrameHasItsKind (GOS-1): frames are counted by it.
func TestEveryFrameHasItsKind(t *testing.T) {
	met := map[Kind]bool{}
	for name, f := range frames() {
		body, err := f.Encode()
		if err != nil {
			t.Fatal(err)
		}
		k := KindOf(body)
		met[k] = true
		if name == "state_none" { // a part that says that there is none
			name = "state_part"
		}
		if k == KindOther || !strings.HasPrefix(strings.NewReplacer("-", "_", " ", "_").Replace(name), k.String()) {
			t.Errorf("%s is counted as %v", name, k)
		}
	}
	for k := KindHello; k < KindCount; k++ {
		if !met[k] {
			t.Errorf("no frame is a %v", k)
		}
	}
	for _, odd := range [][]byte{nil, {}, {0x82}, {0x82, 0}, {0x82, typeStatePart + 1}, {0xa2, typeHello}, {0x82, 0x18, typeHello}} {
		if k := KindOf(odd); k != KindOther {
			t.Errorf("%x is counted as %v", odd, k)
		}
	}
	if Kind(KindCount).String() != "other" {
		t.Error("a kind that is none has a name")
	}
}
