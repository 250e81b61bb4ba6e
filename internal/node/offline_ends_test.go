// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"strings"
	"testing"
	"time"

	"chive/internal/control"
	"chive/internal/testutil"
	"chive/relay"
)

// TestEndsAreToldFromAWeekBefore. Spec: product REL-12.
func TestEndsAreToldFromAWeekBefore(t *testing.T) {
	end := time.Unix(1_800_000_000, 0)
	for before, want := range map[time.Duration]string{
		7*24*time.Hour + time.Second: "", 7 * 24 * time.Hour: "ends on 2027-01-15 08:00:00 UTC", time.Second: "ends on", 0: "ended on", -time.Hour: "ended on",
	} {
		got := endsSoon(end, end.Add(-before))
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%v before: %q", before, got)
		}
	}
	s, dir := offlineRelay(t)
	if e := ExamineState(s.Dir()); len(e.Faults) > 0 || !e.Ends.IsZero() {
		t.Errorf("%+v", e)
	}
	certify(t, s, dir, 9, time.Now())
	if e := ExamineState(s.Dir()); len(e.Faults) > 0 || e.Ends.IsZero() || e.Soon != "" {
		t.Errorf("%+v", e)
	}
	certify(t, s, dir, 6, time.Now())
	if e := ExamineState(s.Dir()); len(e.Faults) > 0 || e.Soon == "" {
		t.Errorf("%+v", e)
	}
}

// TestTheEndIsToldOnceADay in the last seven days.
func TestTheEndIsToldOnceADay(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		end := time.Now().Add(8 * 24 * time.Hour)
		told := 0
		w := watch{told: map[string]time.Time{}, tell: func(text string) {
			if told++; !strings.Contains(text, "What the relay's offline identity has signed ends on") || !strings.Contains(text, "chive keys sign --identity DIR FILE") {
				t.Error(text)
			}
		}}
		for range 7 * 24 { // to a day before the end
			c := &relay.CertifiedStatus{Signing: end, Links: end, Ends: end}
			w.relay(control.Relay{Certificates: certificatesPart(c, time.Now())})
			<-time.After(time.Hour)
		}
		if told != 6 {
			t.Errorf("it was told %d times", told)
		}
	})
}
