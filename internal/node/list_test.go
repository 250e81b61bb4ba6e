// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/internal/config"
)

// TestTheListIsShownAsItIs: names and addresses in full, shares that add up, and what each
// relay may be used for.
func TestTheListIsShownAsItIs(t *testing.T) {
	w := found(t, 3, func(i int) FounderOptions {
		o := FounderOptions{Declaring: Declaring{Rate: "1 MiB/s", About: About{Contact: "ops@example.net"}}}
		if i == 2 {
			o.Exit = "web"
		}
		return o
	})
	w.sign(t)
	doc, err := loadGenesis(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	view := transition.Genesis(doc).Snapshot()
	l := listPart(view, daySeconds(doc), testStart)
	exits, sum := 0, 0.0
	for _, r := range l.Relays {
		if len(r.RID) != 32 || len(r.Addresses) != 1 || !r.Running || !slices.Contains(r.Flags, "founder") || r.Rate == 0 {
			t.Errorf("%+v", r)
		}
		if r.Exit != "off" {
			exits++
			if r.Exit != "tcp 80, 443; udp 53, 443" || !slices.Contains(r.Flags, "exit") {
				t.Errorf("%+v", r)
			}
		}
		sum += r.Share
	}
	if len(l.Relays) != 3 || l.Left != 0 || exits != 1 || math.Abs(sum-1) > 1e-9 || l.Day <= 0 {
		t.Errorf("%+v", l)
	}
	markPenalties(l, view.Table(), map[record.RID]time.Time{view.Table().At(1).RID: testStart, {1}: testStart})
	if !l.Relays[1].Penalty.Equal(testStart) || !l.Relays[0].Penalty.IsZero() || !l.Relays[2].Penalty.IsZero() {
		t.Errorf("shut out: %+v", l.Relays)
	}
	if got := weightPart(view.Table(), view.Table().At(0).RID); got == nil || got.Share != l.Relays[0].Share || got.Why == "" {
		t.Errorf("%+v", got)
	}
	for want, change := range map[string]func(r *snapshot.Relay){
		"It follows from the rate": func(*snapshot.Relay) {},
		"drains for long":          func(r *snapshot.Relay) { r.Bucket = 0 },
		"not call it running":      func(r *snapshot.Relay) { r.Bucket, r.Flags = 0, r.Flags&^snapshot.FlagRunning },
	} {
		r := *view.Table().At(0)
		change(&r)
		if got := weightWords(&r); !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if got := weightPart(view.Table(), record.RID{}); got != nil {
		t.Errorf("a relay that is not on the list has a weight: %+v", got)
	}
	if new(Sources).List() != nil {
		t.Error("a process without roles has a list")
	}
}

// TestRatesOfTheListAreItsSteps: what the list of relays says about its rates holds, and so
// does the README's example.
func TestRatesOfTheListAreItsSteps(t *testing.T) {
	const least = 0.84                                             // up to 16 % less
	for b := snapshot.BucketOf(128); b < snapshot.MaxBucket; b++ { // 128 is the least that a relay may offer
		kbit := snapshot.Rate(b+1) - 1
		if step := snapshot.Rate(snapshot.BucketOf(kbit)); step > kbit || float64(step) < least*float64(kbit) {
			t.Errorf("%d kbit/s stand as %d", kbit, step)
		}
	}
	usual, err := parseRate(DefaultRate)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	step := config.Kbit(snapshot.Rate(snapshot.BucketOf(usual))).About()
	if want := DefaultRate + " is " + step + " there"; !strings.Contains(string(text), want) {
		t.Errorf("README.md lacks %q", want)
	}
}
