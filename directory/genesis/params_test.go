// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
	"time"

	"chive/internal/strictcbor"
)

func TestPresetsRoundTrip(t *testing.T) {
	for name, p := range map[string]Params{"public": Public(), "testnet": Testnet(), "zero": {}} {
		b, err := p.encode(strictcbor.Extra{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, _, err := decodeParams(b)
		if err != nil || got != p {
			t.Fatalf("%s: %v, differs in %v", name, err, got.Differences(p))
		}
		for n := range b {
			if _, _, err := decodeParams(b[:n]); err == nil {
				t.Fatalf("%s cut to %d bytes: accepted", name, n)
			}
		}
	}
}

func TestEveryParameterIsInTheTableOnce(t *testing.T) {
	var p Params
	names, places := map[string]bool{}, map[any]bool{}
	count := 0
	for _, rows := range p.sections() {
		for _, r := range rows {
			if names[r.name] || places[r.at] {
				t.Errorf("%s is there twice", r.name)
			}
			names[r.name], places[r.at] = true, true
			count++
			if r.lo > r.hi || r.hi > hardMax {
				t.Errorf("%s has impossible bounds", r.name)
			}
			// Set every parameter to something: none may be left zero below.
			if err := r.put(1); err != nil {
				t.Errorf("%s: %v", r.name, err)
			}
		}
	}
	if d := p.Differences(Params{}); len(d) != count {
		t.Errorf("%d of %d parameters were reached", len(d), count)
	}
	// A field that no row knows would be equal in both.
	q := Params{}
	b, err := p.encode(strictcbor.Extra{})
	if err != nil {
		t.Fatal(err)
	}
	if q, _, err = decodeParams(b); err != nil || q != p {
		t.Error("a field is not in the table")
	}
}

func TestPublicPresetIsWithinPublicBounds(t *testing.T) {
	var l linter
	Public().lint(&l, false)
	Testnet().lint(&l, true)
	for _, f := range l.out {
		t.Error(f.Text)
	}
}

// TestPublicBounds moves each parameter to its bounds and one beyond.
func TestPublicBounds(t *testing.T) {
	refused := func(p Params, name string) bool {
		var l linter
		p.lint(&l, false)
		for _, f := range l.out {
			if f.Error && bytes.Contains([]byte(f.Text), []byte("parameter "+name+" is outside")) {
				return true
			}
		}
		return false
	}
	p := Public()
	for i, rows := range p.sections() {
		for j, r := range rows {
			for _, test := range []struct {
				n   int64
				bad bool
			}{{r.lo, false}, {r.hi, false}, {r.lo - 1, true}, {r.hi + 1, true}} {
				q := Public()
				err := q.sections()[i][j].put(uint64(test.n))
				if _, flag := r.at.(*bool); flag && test.n > 1 {
					if !errors.Is(err, ErrParams) {
						t.Errorf("%s = %d: %v", r.name, test.n, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("%s = %d: %v", r.name, test.n, err)
				}
				if refused(q, r.name) != test.bad {
					t.Errorf("%s = %d: refused is %v", r.name, test.n, !test.bad)
				}
			}
		}
	}
}

func TestParametersThatDoNotFitTogetherAreRefused(t *testing.T) {
	for name, change := range map[string]func(p *Params){
		"epoch of half a second":      func(p *Params) { p.EpochLen = 500 * time.Millisecond },
		"epoch of a second and a bit": func(p *Params) { p.EpochLen = 1500 * time.Millisecond },
		"no epoch":                    func(p *Params) { p.EpochLen = 0 },
		"no day":                      func(p *Params) { p.Day = 0 },
		"odd term":                    func(p *Params) { p.Term = 61 },
		"draw in the term before":     func(p *Params) { p.DrawLead = 30 },
		"sign end beyond the epoch":   func(p *Params) { p.SignEnd = 9 * time.Second },
		"sign before propose":         func(p *Params) { p.Propose = 3 * time.Second },
		"proposal after sign":         func(p *Params) { p.HoldOffMax = 2500 * time.Millisecond },
		"life below republish":        func(p *Params) { p.DescriptorLife = time.Minute },
		"told at once":                func(p *Params) { p.InvMeanOut = 0 },
		"told at once to callers":     func(p *Params) { p.InvMeanIn = 0 },
		"urgent at once":              func(p *Params) { p.InvUrgent = 0 },
		"no time to answer":           func(p *Params) { p.GetTimeout = 0 },
		"no time to answer, urgent":   func(p *Params) { p.GetTimeoutUrgent = 0 },
		"repair all the time":         func(p *Params) { p.RepairPeriod = 0 },
		"no gap":                      func(p *Params) { p.RepublishGap = 0 },
		"overlap beyond life":         func(p *Params) { p.OnionOverlap = p.OnionLife + 1*time.Second },
		"committee of 97":             func(p *Params) { p.CommitteeMax = 97 },
		"share beyond one":            func(p *Params) { p.CapGroup = 1001 },
		"guard ramp backwards":        func(p *Params) { p.GuardFrom = 1 },
		"cohort of no days":           func(p *Params) { p.CapCohort, p.Cohort = 100, 0 },
		"jitter as long as the fetch": func(p *Params) { p.ClientJitter = p.ClientFetch },
		"fresh after warn":            func(p *Params) { p.Fresh = p.Warn },
		"guard life backwards":        func(p *Params) { p.GuardLifeMin = p.GuardLifeMax + time.Second },
		"two new guards":              func(p *Params) { p.GuardNew = 2 },
		"65 new guards":               func(p *Params) { p.GuardNew = 65 },
		"no back-off":                 func(p *Params) { p.GuardRetryMin = 0 },
		"never absent":                func(p *Params) { p.GuardAbsent = 0 },
		"no half-life":                func(p *Params) { p.EWMAHalfLife = 0 },
		"window below two acks":       func(p *Params) { p.WindowMin = 2*p.AckEvery - 1 },
		"window beyond its end":       func(p *Params) { p.WindowInit = p.WindowMax + 1 },
		"no acks":                     func(p *Params) { p.AckEvery = 0 },
		"beta below alpha":            func(p *Params) { p.Beta = p.Alpha - 1 },
		"little credit":               func(p *Params) { p.StreamCredit = 4095 },
	} {
		p := Testnet()
		change(&p)
		_, err := Plan{Name: "x", Testnet: true, Time: start(), Founders: founders(t, 3), Params: &p}.Document()
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(p *Params){
		"negative":     func(p *Params) { p.BWCap = -1 },
		"microseconds": func(p *Params) { p.Propose += time.Microsecond },
		"200 years":    func(p *Params) { p.AnchorAge = 200 * 365 * day },
		"far below":    func(p *Params) { p.BWCap = math.MinInt },
	} {
		p := Testnet()
		change(&p)
		if _, err := p.encode(strictcbor.Extra{}); !errors.Is(err, ErrParams) {
			t.Errorf("%s, encoded: %v", name, err)
		}
		_, err := Plan{Name: "x", Testnet: true, Time: start(), Founders: founders(t, 3), Params: &p}.Document()
		var refused *RefusedError
		if !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSetParameterByName(t *testing.T) {
	p := Testnet()
	for _, set := range [][2]string{{"epoch_len", "20s"}, {"day", "12"}, {"path_network_rule", "on"}, {"bw_cap", "0"}} {
		if err := p.Set(set[0], set[1]); err != nil {
			t.Errorf("%v: %v", set, err)
		}
	}
	want := []Difference{{"epoch_len", "20s", "10s"}, {"day", "12", "6"}, {"path_network_rule", "on", "off"}}
	got := p.Differences(Testnet())
	if len(got) != len(want) {
		t.Fatalf("%v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%v, want %v", got[i], want[i])
		}
	}
	for _, bad := range [][2]string{
		{"epoch_len", "20"}, {"epoch_len", "-20s"}, {"epoch_len", "1us"}, {"epoch_len", "9999999h"}, {"day", "12s"},
		{"day", "-1"}, {"day", "2147483648"}, {"path_network_rule", "1"}, {"path_network_rule", ""},
	} {
		if err := p.Set(bad[0], bad[1]); !errors.Is(err, ErrParams) {
			t.Errorf("%v: %v", bad, err)
		}
	}
	if err := p.Set("no_such", "1"); !errors.Is(err, ErrUnknownParam) {
		t.Errorf("unknown name: %v", err)
	}
}

func TestParameterVectors(t *testing.T) {
	var lines [][2]string
	for _, v := range []struct {
		name string
		p    Params
	}{{"public", Public()}, {"testnet", Testnet()}} {
		b, err := v.p.encode(strictcbor.Extra{})
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, [2]string{v.name, hex.EncodeToString(b)})
	}
	golden(t, "params.txt", "Encoded parameters of both presets.\nA changed line is a change of the protocol. Spec: directory §2.\n", lines)
}
