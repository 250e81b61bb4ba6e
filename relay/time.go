// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/link"
)

// Whose clock is off by more than certificates of links allow has no neighbours that
// could tell, and nobody who lets it join. So a relay without neighbours asks others what
// the time is (TIME), over links on which it says nothing of itself and believes no
// certificate's times. It only says what it has heard: nothing is decided by it.

const (
	timeVoices  = 3                // relays in different places, whose median counts
	timeSources = 6                // asked in one round
	timeFirst   = 3 * time.Second  // without neighbours, then it asks
	timeLast    = 10 * time.Minute // the pauses double up to this
	timeBlur    = 2 * time.Second  // their answers are that exact
	anyClock    = 100 * 365 * 24 * time.Hour
)

// timekeeper asks for the time while the relay has no neighbours. One goroutine.
type timekeeper struct {
	d     *replica
	rand  *rand.Rand
	alone atomic.Bool                   // the loop's: there are relays, and none is a neighbour
	ahead atomic.Pointer[time.Duration] // of our clock against theirs; nil: not known
}

func (k *timekeeper) run() {
	pause, alone := timeFirst, 0
	t := time.NewTimer(pause)
	defer t.Stop()
	for {
		select {
		case <-k.d.ctx.Done():
			return
		case <-t.C:
		}
		switch {
		case !k.alone.Load():
			k.ahead.Store(nil)
			pause, alone = timeFirst, 0
		case alone == 0:
			alone++ // it may have begun to be a moment ago
		default:
			if ahead, ok := k.ask(); ok {
				k.ahead.Store(&ahead)
			}
			pause = min(2*pause, timeLast)
		}
		t.Reset(pause)
	}
}

// ask returns by how much this clock is ahead of relays' in different places, where the
// network has so many.
func (k *timekeeper) ask() (ahead time.Duration, ok bool) {
	var offs []time.Duration
	heard, tried := map[place]bool{}, map[record.RID]bool{}
	need := 0
	for dials := 0; dials < timeSources && len(offs) < timeVoices; {
		all := k.d.joiner.known(tried, nil)
		s, ok := all.draw(k.rand, len(tried))
		if !ok {
			break
		}
		need = max(need, min(timeVoices, len(tried)+len(all.peers)+len(all.listed)))
		tried[s.rid] = true
		if heard[s.place] && all.places >= timeVoices {
			continue // another one there adds nothing
		}
		if s.addrs == nil {
			s.addrs = addressesOf(k.d.r.View().Table(), s.rid)
		}
		dials++
		if off, err := k.d.timeOf(s.rid, s.addrs); err == nil {
			heard[s.place] = true
			offs = append(offs, off)
		}
	}
	if need == 0 || len(offs) < need {
		return 0, false
	}
	slices.Sort(offs)
	return offs[len(offs)/2], true
}

// timeOf asks one relay, over a link with a throw-away key.
func (d *replica) timeOf(rid record.RID, addrs []netip.AddrPort) (ahead time.Duration, err error) {
	ctx, cancel := context.WithTimeout(d.ctx, onwardTimeout)
	defer cancel()
	cfg := d.r.linkConfig()
	cfg.Identity, cfg.ClockSkew, cfg.Verify = nil, anyClock, d.r.expect(rid)
	err = errNowhere
	for _, a := range d.r.permitted(addrs) {
		var l *link.Link
		if l, err = link.Dial(ctx, d.r.cfg.Transport, a, cfg); err == nil {
			ahead, err = timeOver(ctx, l, d.r.wall)
			_ = l.Close()
		}
		if err == nil {
			return ahead, nil
		}
	}
	return 0, err
}

func timeOver(ctx context.Context, l *link.Link, wall func() time.Time) (time.Duration, error) {
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		return 0, err
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, func() { _ = st.Close() })
	defer stop()
	return dirsync.FetchTime(st, wall)
}

// clockWords says by how much the clock is off. One whose neighbours cannot be asked, and
// which no other relays tell the time, is not known to be.
func (d *replica) clockWords() string {
	behind, n := d.machine.Clock()
	limit, whose := d.r.genesis.Params.ClockMember, "its neighbours"
	if n == 0 {
		told := d.timekeeper.ahead.Load()
		if told == nil {
			return ""
		}
		behind, limit, whose = -*told, limit+timeBlur, "the relays that it has asked"
	}
	way := "behind"
	if behind < 0 {
		way = "ahead of"
	}
	if behind.Abs() <= limit {
		return ""
	}
	return fmt.Sprintf("this machine's clock is %v %s that of %s; set it", exact(behind.Abs()), way, whose)
}

// exact leaves out what nobody needs to know of a duration.
func exact(d time.Duration) time.Duration {
	if d >= 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(time.Millisecond)
}
