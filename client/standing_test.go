// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestWhatANetworkIsWorthIsLoggedOncePerChange: young and unmeasured when the first list
// is there, stalled when relays apart have nothing newer, and its end.
// Spec: directory §6 (young).
func TestWhatANetworkIsWorthIsLoggedOncePerChange(t *testing.T) {
	inVillage(t, 7, func(t *testing.T, v *village) {
		chain := v.chain().grow(40, 0)
		for _, r := range v.relays {
			r.follows(chain, 20)
		}
		v.epoch(18)
		var out bytes.Buffer
		w := v.walk(func(c *Config) { c.Log = zerolog.New(&out) })
		defer w.end()
		events := func() string {
			var all []string
			for _, line := range strings.Split(out.String(), "\n") {
				if _, rest, found := strings.Cut(line, `"event":"`); found {
					event, _, _ := strings.Cut(rest, `"`)
					if strings.Contains(" young grown unmeasured measured stalled goes_on ", " "+event+" ") {
						all = append(all, event)
					}
				}
			}
			out.Reset()
			return strings.Join(all, " ")
		}
		round := func() {
			t.Helper()
			_ = w.obtain(t.Context(), 0)
		}
		round()
		if got := events(); got != "young unmeasured" {
			t.Errorf("at first: %q", got)
		}
		v.epoch(19)
		round()
		if got := events(); got != "" {
			t.Errorf("another list: %q", got)
		}
		v.epoch(20 + 2*uint64(v.doc.Params.Fresh) + 4)
		round()
		round()
		if got := events(); got != "stalled" {
			t.Errorf("nothing newer: %q", got)
		}
		for _, r := range v.relays {
			r.follows(chain, 40)
		}
		v.epoch(39)
		round()
		if got := events(); got != "goes_on" {
			t.Errorf("it goes on: %q", got)
		}
	})
}

// TestAGrownNetworkIsSaidSo.
func TestAGrownNetworkIsSaidSo(t *testing.T) {
	var out bytes.Buffer
	log := zerolog.New(&out)
	standing{young: true, unmeasured: true}.say(&log, standing{})
	if s := out.String(); strings.Count(s, "\n") != 2 || !strings.Contains(s, `"grown"`) || !strings.Contains(s, `"measured"`) {
		t.Error(s)
	}
}
