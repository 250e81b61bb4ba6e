// SPDX-License-Identifier: BSD-3-Clause

package vote

import (
	"errors"
	"testing"
)

// What the driver has decoded is not decoded again.
func TestADecodedItemIsTaken(t *testing.T) {
	no := errors.New("decoded again")
	decode := func([]byte) (*Vote, error) { return nil, no }
	v := &Vote{Seat: 3}
	if got, err := decoded(Received{Decoded: v}, decode); got != v || err != nil {
		t.Error(err)
	}
	for _, other := range []any{nil, (*Vote)(nil), &Proposal{}} {
		if _, err := decoded(Received{Decoded: other}, decode); err != no {
			t.Errorf("%T is taken for a vote", other)
		}
	}
}
