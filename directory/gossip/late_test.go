// SPDX-License-Identifier: BSD-3-Clause

package gossip

import (
	"testing"

	"chive/directory/genesis"
)

// Who was slow is not called a liar: a part of a table that comes after its time is no
// more than late. Spec: GOS-11.
func TestALatePartIsNoUnaskedOne(t *testing.T) {
	l := newLab(t, 60, genesis.Public())
	may, _ := l.callers()
	f := l.up(may[0], true)
	l.step(AskState{RID: f.rid, Header: digestOf("state")})
	l.pass(stateTimeouts * l.m.cfg.Params.GetTimeout)
	late := &StatePart{Header: digestOf("state"), Count: 1, Data: []byte{1}}
	f.says(late)
	if got := l.score(f.rid); got != penaltyUndelivered {
		t.Errorf("score %d", got)
	}
	f.says(late)
	if got := l.score(f.rid); got != penaltyUndelivered+penaltyUnasked {
		t.Errorf("twice: score %d", got)
	}
	if _, closed := l.closed[f.link]; closed {
		t.Error("closed")
	}
}
