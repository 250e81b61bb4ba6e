// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"slices"
	"testing"
	"time"

	"chive/directory/committee"
)

// Two finals in an epoch need 2Q-K traitors: with as many as that the real machines make
// two, and evidence names everybody who signed both; with one less never.
// Spec: VOTE-7, EPOCH-6.
func TestTwoFinalsNeedAsManyTraitors(t *testing.T) {
	doubles := 0
	for _, k := range []int{7, 10} {
		for _, traitors := range []int{forks(k) - 1, forks(k)} {
			o, err := Members{Seed: 1, Size: k, Traitors: traitors, Ways: DoubleVote | DoublePropose | DoubleSign, Epochs: 12}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if traitors < forks(k) && o.Double > 0 {
				t.Errorf("K = %d: two finals with %d traitors", k, traitors)
			}
			if o.Accused != traitors || o.Innocent > 0 || o.Unnamed > 0 || len(o.Broken) > 0 {
				t.Errorf("K = %d, %d traitors: %d named, %d honest ones, %d signers of both not: %v", k, traitors, o.Accused, o.Innocent, o.Unnamed, o.Broken)
			}
			doubles += o.Double
		}
	}
	if doubles == 0 {
		t.Error("as many traitors as two finals need made none")
	}
}

// Content that no honest member wants needs M votes. Spec: TRN-1.
func TestUnwantedContentNeedsAMajority(t *testing.T) {
	for _, traitors := range []int{committee.Matching(7) - 1, committee.Matching(7)} {
		o, err := Members{Seed: 2, Size: 7, Traitors: traitors, Ways: Insert, Epochs: 10}.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if (o.Inserted > 0) != (traitors == committee.Matching(7)) {
			t.Errorf("%d traitors: %d finals with what only they want", traitors, o.Inserted)
		}
	}
}

// Honest members alone make every epoch final in time. Spec: EPOCH-5, EPOCH-7.
func TestHonestMembersAreFinalInTime(t *testing.T) {
	o, err := Members{Seed: 3, Size: 10, Epochs: 8}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if o.Final != 8 || len(o.Broken) > 0 || slices.Max(o.Last) > 2*time.Minute {
		t.Errorf("%d final of 8, the last after %v: %v", o.Final, slices.Max(o.Last), o.Broken)
	}
	if again, err := (Members{Seed: 3, Size: 10, Epochs: 8}).Run(t.Context()); err != nil || again.Trace != o.Trace {
		t.Errorf("one seed, two traces: %v", err)
	}
}

// Whoever needs a cap to be kept off the seats is: alike or thin, the hostile part of
// the seats is near its share of the weight, and grows with it.
func TestSeatsFollowWeight(t *testing.T) {
	for _, placement := range []Placement{Alike, Thin, Equal} {
		before := 0.0
		for _, share := range []float64{0, 0.1, 0.3} {
			a, err := Seats{Seed: 1, Share: share, Epochs: 4000, Placement: placement, Relays: 600}.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if a.Mean < before || a.Mean > share+0.03 || a.Mean < share-0.03 {
				t.Errorf("placement %d, share %.1f: %.3f of the seats", placement, share, a.Mean)
			}
			if share == 0 && a.Final != a.Epochs {
				t.Errorf("%d of %d final without anybody hostile or away", a.Final, a.Epochs)
			}
			before = a.Mean
		}
	}
}
