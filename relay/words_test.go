// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"chive/directory"
)

// TestJoiningSaysThatTheAddressesCannotBeReached before anything else.
func TestJoiningSaysThatTheAddressesCannotBeReached(t *testing.T) {
	got := joiningWords(directory.Joining{Offered: true, Asked: 1, Accepted: 1, Unreached: 2}, 1)
	if !strings.HasPrefix(got, "2 of 3 relays could not reach this relay") {
		t.Error(got)
	}
}

// TestTheFirstEpochSaysThatTheListIsToCome, not that there is no seat.
func TestTheFirstEpochSaysThatTheListIsToCome(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		synctest.Wait()
		s := w.relay.directory.Load()
		if s == nil || s.Current != 0 || s.Committee.Reason != "the first list of relays is still to come" {
			t.Errorf("%+v", s)
		}
	})
}

// TestAnotherProcessIsLoggedOnceAnHour, and reported each time.
func TestAnotherProcessIsLoggedOnceAnHour(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		w.relay.cfg.Log = zerolog.New(&out)
		d, err := w.relay.newReplica()
		if err != nil {
			t.Fatal(err)
		}
		w.ended <- nil
		for range 2 {
			for range 100 {
				d.report(directory.Report{What: directory.ReportOtherSelf})
			}
			pass(time.Hour + time.Second)
		}
		if n := strings.Count(out.String(), "other_self"); n != 2 || d.reports[0].Count != 200 {
			t.Errorf("%d lines, %+v", n, d.reports)
		}
	})
}
