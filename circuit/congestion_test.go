// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"errors"
	"testing"
	"time"

	"chive/circuit/cell"
)

// sender plays a sender against an ideal path: every acknowledgement comes
// after rtt, and the window is always wanted.
type sender struct {
	w   window
	now time.Time
	tag uint32
	out [][cell.TagSize]byte // tags of remembered cells
}

func newSender(p Params) *sender { return &sender{w: newWindow(p), now: epoch} }

// fill sends as many cells as the window admits.
func (s *sender) fill() {
	for s.w.room() {
		s.w.begin()
		s.tag++
		tag := [cell.TagSize]byte{byte(s.tag >> 24), byte(s.tag >> 16), byte(s.tag >> 8), byte(s.tag)}
		marks := len(s.w.marks)
		s.w.sealed(s.now, tag)
		if len(s.w.marks) > marks {
			s.out = append(s.out, tag)
		}
	}
}

// turn lets rtt pass and acknowledges everything that was in flight; what each
// acknowledgement admits is sent at once.
func (s *sender) turn(t *testing.T, rtt time.Duration) {
	t.Helper()
	s.fill()
	s.now = s.now.Add(rtt)
	due := s.out
	s.out = nil
	for _, tag := range due {
		if err := s.w.ack(s.now, tag); err != nil {
			t.Fatal(err)
		}
		s.fill()
	}
}

func TestSlowStartDoublesTheWindowEachRoundTrip(t *testing.T) {
	s := newSender(DefaultParams())
	for _, want := range []int{128, 256, 512, 1024, 1024} {
		s.turn(t, 100*time.Millisecond)
		if s.w.size != want {
			t.Fatalf("window %d, not %d", s.w.size, want)
		}
	}
	if !s.w.slowStart {
		t.Fatal("slow start ended although nothing queues")
	}
}

func TestAWindowNobodyUsesUpDoesNotGrow(t *testing.T) {
	s := newSender(DefaultParams())
	for range 20 {
		for range s.w.p.AckEvery {
			s.w.begin()
			s.tag++
			s.w.sealed(s.now, [cell.TagSize]byte{byte(s.tag)})
		}
		s.now = s.now.Add(time.Second)
		if err := s.w.ack(s.now, [cell.TagSize]byte{byte(s.tag)}); err != nil {
			t.Fatal(err)
		}
	}
	if s.w.size != s.w.p.WindowInit {
		t.Fatalf("window %d", s.w.size)
	}
}

func TestSlowStartEndsWhenThePathQueues(t *testing.T) {
	s := newSender(DefaultParams())
	s.turn(t, 100*time.Millisecond)
	s.turn(t, 100*time.Millisecond)
	for range 20 { // the path holds 256 cells in 100 ms; what is more waits
		rtt := 100 * time.Millisecond * time.Duration(max(s.w.size, 256)) / 256
		s.turn(t, rtt)
	}
	if s.w.slowStart {
		t.Fatal("slow start never ended")
	}
	if s.w.size < 256+s.w.p.Alpha/2 || s.w.size > 256+2*s.w.p.Delta {
		t.Fatalf("window %d on a path that holds 256 cells", s.w.size)
	}
}

func TestTheSteadyWindowStaysBetweenAlphaAndBeta(t *testing.T) {
	p := DefaultParams()
	s := newSender(p)
	s.w.slowStart = false
	s.w.size = 300
	for range 400 {
		s.turn(t, 100*time.Millisecond*time.Duration(max(s.w.size, 300))/300)
	}
	if q := s.w.size - 300; q < p.Alpha-p.AckEvery || q > p.Beta+p.AckEvery {
		t.Fatalf("%d cells wait on the path", q)
	}
}

func TestTheWindowFallsBackWhenThePathSlowsDown(t *testing.T) {
	p := DefaultParams()
	s := newSender(p)
	for range 6 {
		s.turn(t, 50*time.Millisecond)
	}
	if s.w.size != p.WindowMax {
		t.Fatalf("window %d", s.w.size)
	}
	for range 60 {
		s.turn(t, time.Second)
	}
	if s.w.size != p.WindowMin && s.w.size > p.WindowMin+p.Delta {
		t.Fatalf("window %d after the path became twenty times slower", s.w.size)
	}
}

// Spec: protocol §5 (CC-3).
func TestTheWindowStaysWithinItsBounds(t *testing.T) {
	p := DefaultParams()
	s := newSender(p)
	for i := range 500 {
		s.turn(t, time.Duration(1+i*i%977)*time.Millisecond)
		if s.w.size < p.WindowMin || s.w.size > p.WindowMax {
			t.Fatalf("turn %d: window %d", i, s.w.size)
		}
		if s.w.inflight < 0 || s.w.inflight > p.WindowMax {
			t.Fatalf("turn %d: %d in flight", i, s.w.inflight)
		}
	}
	// No time passes, or the clock steps back: still a window.
	for _, rtt := range []time.Duration{0, -time.Hour, 0, 1000 * time.Hour} {
		s.turn(t, rtt)
		if s.w.size < p.WindowMin || s.w.size > p.WindowMax || s.w.rtt <= 0 {
			t.Fatalf("round trip of %v: window %d, average %v", rtt, s.w.size, s.w.rtt)
		}
	}
}

func TestAcknowledgementsComeInOrderAndOnce(t *testing.T) {
	p := DefaultParams()
	s := newSender(p)
	s.fill() // two marks: cells 32 and 64
	if len(s.out) != 2 {
		t.Fatalf("%d cells remembered", len(s.out))
	}
	first, second := s.out[0], s.out[1]
	for _, c := range []struct {
		name string
		tag  [cell.TagSize]byte
		want error
	}{
		{"forged", [cell.TagSize]byte{9, 9, 9}, ErrProtocol},
		{"the second before the first", second, ErrProtocol},
		{"the first", first, nil},
		{"the first again", first, ErrProtocol},
		{"the second", second, nil},
		{"the second again: nothing is due", second, ErrProtocol},
		{"zero", [cell.TagSize]byte{}, ErrProtocol},
	} {
		size, inflight := s.w.size, s.w.inflight
		if err := s.w.ack(s.now, c.tag); !errors.Is(err, c.want) {
			t.Fatalf("%s: %v", c.name, err)
		}
		if c.want != nil && (s.w.size != size || s.w.inflight != inflight) {
			t.Fatalf("%s: a refused acknowledgement moved the window", c.name)
		}
	}
}

// Spec: protocol §5 (CC-1).
func TestTheReceiverAcknowledgesEveryThirtySecond(t *testing.T) {
	a := newAcker(DefaultParams())
	for i := 1; i <= 320; i++ {
		due, err := a.counted()
		if err != nil || due != (i%32 == 0) {
			t.Fatalf("cell %d: due %v, %v", i, due, err)
		}
		if due {
			a.left(1)
		}
	}
}

func TestTheReceiverRefusesTheFirstCellBeyondAnyWindow(t *testing.T) {
	p := DefaultParams()
	a := newAcker(p)
	for i := range p.WindowMax {
		if _, err := a.counted(); err != nil {
			t.Fatalf("cell %d of the largest window: %v", i+1, err)
		}
	}
	if _, err := a.counted(); !errors.Is(err, ErrProtocol) {
		t.Fatalf("one cell beyond the largest window: %v", err)
	}
	a.left(1) // one acknowledgement left: room for as many cells as it covers
	for i := range p.AckEvery {
		if _, err := a.counted(); err != nil {
			t.Fatalf("cell %d: %v", i+1, err)
		}
	}
	if _, err := a.counted(); !errors.Is(err, ErrProtocol) {
		t.Fatalf("one cell beyond: %v", err)
	}
}

func TestUnusableParametersAreRefused(t *testing.T) {
	change := func(f func(*Params)) Params {
		p := DefaultParams()
		f(&p)
		return p
	}
	cases := map[string]struct {
		p  Params
		ok bool
	}{
		"default":                 {DefaultParams(), true},
		"no acknowledgements":     {change(func(p *Params) { p.AckEvery = 0 }), false},
		"window of two acks":      {change(func(p *Params) { p.WindowMin = 2 * p.AckEvery }), true},
		"window of less":          {change(func(p *Params) { p.WindowMin = 2*p.AckEvery - 1 }), false},
		"start below the least":   {change(func(p *Params) { p.WindowInit = p.WindowMin - 1 }), false},
		"start at the most":       {change(func(p *Params) { p.WindowInit = p.WindowMax }), true},
		"start above the most":    {change(func(p *Params) { p.WindowInit = p.WindowMax + 1 }), false},
		"alpha above beta":        {change(func(p *Params) { p.Alpha = p.Beta + 1 }), false},
		"beta above delta":        {change(func(p *Params) { p.Beta = p.Delta + 1 }), false},
		"negative gamma":          {change(func(p *Params) { p.Gamma = -1 }), false},
		"credit of two cells":     {change(func(p *Params) { p.CreditSize = 2 * cell.MaxBody }), true},
		"credit of less":          {change(func(p *Params) { p.CreditSize = 2*cell.MaxBody - 1 }), false},
		"credit at its limit":     {change(func(p *Params) { p.CreditSize = maxCredit }), true},
		"credit beyond its limit": {change(func(p *Params) { p.CreditSize = maxCredit + 1 }), false},
	}
	for name, c := range cases {
		if _, err := NewOrigin(c.p, new(Buffers), random(1)); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
