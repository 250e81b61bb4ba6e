// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// TestWhatANetworkIsWorthIsLoggedOncePerChange: young, unmeasured, stalled.
// Spec: directory §6 (young).
func TestWhatANetworkIsWorthIsLoggedOncePerChange(t *testing.T) {
	var out bytes.Buffer
	log := zerolog.New(&out)
	events := func() (all []string) {
		for _, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
			if _, rest, found := strings.Cut(line, `"event":"`); found {
				event, _, _ := strings.Cut(rest, `"`)
				all = append(all, event)
			}
		}
		out.Reset()
		return all
	}
	var s standing
	for _, step := range []struct {
		now  standing
		want string
	}{
		{standing{unmeasured: true, young: true}, "young unmeasured"},
		{standing{unmeasured: true, young: true}, ""},
		{standing{unmeasured: true, young: true, stalled: true}, "stalled"},
		{standing{unmeasured: true, young: true, stalled: true, forked: true}, ""},
		{standing{}, "grown measured goes_on"},
		{standing{}, ""},
	} {
		s.say(&log, step.now)
		if got := strings.Join(events(), " "); got != step.want {
			t.Errorf("%+v: %q, want %q", step.now, got, step.want)
		}
	}
	s = standing{}
	s.say(&log, standing{forked: true})
	s.say(&log, standing{forked: true})
	if got := strings.Join(events(), " "); got != "forked" {
		t.Errorf("at a start: %q", got)
	}
}

// TestARelayLogsThatItsNetworkIsYoung, and so on, as it runs: over many epochs and another
// machine no line twice.
func TestARelayLogsThatItsNetworkIsYoung(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		w.stop()
		if err := <-w.ended; err != nil {
			t.Fatal(err)
		}
		w.ended <- nil
		var out bytes.Buffer
		w.relay.cfg.Log, w.relay.standing = zerolog.New(&out), standing{}
		for range 2 {
			d, err := w.relay.newReplica()
			if err != nil {
				t.Fatal(err)
			}
			for range 3 {
				d.tell(time.Now())
				pass(time.Minute)
			}
		}
		for _, event := range []string{`"young"`, `"unmeasured"`} {
			if n := strings.Count(out.String(), event); n != 1 {
				t.Errorf("%d lines of %s in %s", n, event, out.String())
			}
		}
	})
}
