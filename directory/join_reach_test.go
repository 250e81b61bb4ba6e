// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"testing"
	"time"

	"chive/directory/gossip"
	"chive/directory/record"
)

// A newcomer counts the relays that cannot reach it, each once, until they answer
// otherwise; what nobody was asked for does not count.
func TestNewcomerCountsWhoCannotReachIt(t *testing.T) {
	a, b, stranger := record.RID{1}, record.RID{2}, record.RID{3}
	m := &Machine{}
	m.joining.tried = map[record.RID]time.Time{a: {}, b: {}}
	m.joining.unreached = map[record.RID]struct{}{}
	for i, step := range []struct {
		answer          gossip.JoinAnswered
		unreached, took int
	}{
		{gossip.JoinAnswered{RID: a, Sent: true, Code: gossip.JoinUnreachable}, 1, 0},
		{gossip.JoinAnswered{RID: a, Sent: true, Code: gossip.JoinUnreachable}, 1, 0},
		{gossip.JoinAnswered{RID: stranger, Sent: true, Code: gossip.JoinUnreachable}, 1, 0},
		{gossip.JoinAnswered{RID: b, Code: gossip.JoinUnreachable}, 1, 0},
		{gossip.JoinAnswered{RID: b, Sent: true, Code: gossip.JoinUnreachable}, 2, 0},
		{gossip.JoinAnswered{RID: a, Sent: true, Code: gossip.JoinTaken}, 1, 1},
	} {
		m.joinAnswered(step.answer)
		if len(m.joining.unreached) != step.unreached || m.joining.taken != step.took {
			t.Errorf("%d: %d could not, %d took it", i, len(m.joining.unreached), m.joining.taken)
		}
	}
}
