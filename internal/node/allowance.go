// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/limit"
	"chive/internal/store"
	"chive/link"
	"chive/relay/exit"
)

// RelayLimits bound what a relay moves and keeps. Zero: no bound. Spec: product REL-4,
// REL-5.
type RelayLimits struct {
	Rate, Burst int64 // bytes per second each way at the sockets of its links and of its exit, and bytes
	Quota       limit.Accounting
	Period      string // of Quota, as a person calls it
	Memory      int64  // bytes of queues, buffers and lists; 0: a part of the machine's
}

// SetQuota sets the quota from what a configuration says: bytes (0: none), day, week or
// month, when in it the period begins, and what counts.
func (l *RelayLimits) SetQuota(most int64, period, start, counts string) error {
	if most == 0 {
		return nil
	}
	each, known := limit.ParsePeriod(period)
	count, counted := limit.ParseCount(counts)
	begin, err := limit.ParseStart(each, start)
	if err != nil || !known || !counted {
		return fault(Usage, "accounting", "See what it takes: chive config default.", "relay.accounting names no period that there is")
	}
	l.Quota, l.Period = limit.Accounting{Max: most, Each: each, Start: begin, Count: count}, period
	return nil
}

// quotaFile holds what of the quota is used.
const quotaFile = "relay/quota"

const (
	countEvery   = time.Second
	drainTime    = 30 * time.Second // unless RelayOptions say
	restWait     = 5 * time.Second  // for others to be told that the relay rests
	maxQuotaSize = 256              // bytes of the file
)

// allowance holds a relay to its limits: it bounds what its links and its exit move,
// counts it, and says when the quota is used up.
type allowance struct {
	path  string
	drain time.Duration // for which circuits go on when the quota is used up
	meter limit.Meter
	// memory is the account of what the relay keeps for others.
	memory *limit.Memory

	saving sync.Mutex // held from a record's making until it is on disk

	mu      sync.Mutex
	limits  RelayLimits
	quota   *limit.Quota // nil: there never was one
	in, out uint64       // of the meter, as last added
	fault   error        // of the last attempt to keep it
	could   uint32       // kbit/s that the relay would declare without a quota, when it last asked
	says    uint32       // kbit/s that it declares
	held    heldBack
}

// openAllowance reads what of the quota is used. A file that cannot be read counts for
// nothing used: it is told as note.
//
// Whoever carries something calls count first, so that a record is on the disk.
func (s *State) openAllowance(l RelayLimits, drain time.Duration, now time.Time) (a *allowance, note string, err error) {
	if drain == 0 {
		drain = drainTime
	}
	most := ceiling(l.Memory)
	boundHeap(most)
	a = &allowance{limits: l, path: s.path(quotaFile), drain: max(drain, 0), memory: limit.NewMemory(most)}
	if l.Rate > 0 {
		a.meter.SetRate(l.Rate, l.Burst)
	}
	if l.Quota.Max == 0 {
		return a, "", nil
	}
	data, err := store.ReadFile(a.path, maxQuotaSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fileFault(a.path, "record of the quota", err)
	}
	a.quota, err = limit.NewQuota(a.accounting(l), data, now)
	a.bindLocked(now)
	if errors.Is(err, limit.ErrQuotaState) {
		return a, "What the quota's record " + a.path + " says cannot be read: the relay counts from nothing in this period. Check the disk.", nil
	}
	if reserved := a.quota.Reserved(); reserved > 0 {
		note = "The process before ended without a word, so up to " + config.Size(reserved).About() + " of the quota that count as used may not have passed: the record runs some seconds ahead of what passes, so that no byte beyond the quota does."
	}
	return a, note, nil
}

// A reserve is at most this much of a quota, and where no rate says what a drain can
// bring, at most so many bytes.
const (
	reservePart = 32
	mostReserve = 64 << 20
)

// accounting returns the quota of the limits, with what it must know of the meter, and
// with a reserve for what open circuits still bring when it is used up.
func (a *allowance) accounting(l RelayLimits) limit.Accounting {
	q := l.Quota
	q.Rate, q.Burst, q.Reserve = l.Rate, l.Burst, min(q.Max/reservePart, mostReserve)
	if l.Rate > 0 {
		burst := l.Burst
		if burst == 0 {
			burst = l.Rate
		}
		brings := float64(l.Rate)*(a.drain+min(restWait, a.drain)+countEvery).Seconds() + float64(burst)
		if q.Count == limit.CountSum {
			brings *= 2
		}
		q.Reserve = int64(min(float64(q.Max/reservePart), brings))
	}
	return q
}

// bindLocked lets the meter pass what is left of the quota, and no byte more.
func (a *allowance) bindLocked(now time.Time) {
	if a.quota == nil || a.limits.Quota.Max == 0 {
		a.meter.Unbound()
		return
	}
	in, out := a.quota.Left(now)
	a.meter.Bound(a.limits.Quota.Count, int64(a.in)+in, int64(a.out)+out)
}

// set changes the limits of a relay that runs. What has passed in the period stays
// counted. A quota that was not there at the start begins with what its file says of the
// period, or with nothing.
func (a *allowance) set(l RelayLimits, now time.Time) {
	// A higher rate counts only when what it may bring is reserved on disk. What cannot be kept
	// is told when it is due again.
	defer a.meter.SetRate(l.Rate, l.Burst)
	defer func() {
		if a.count(now, false) != nil {
			a.mu.Lock()
			a.fault = nil // keep tells it
			a.mu.Unlock()
		}
	}()
	most := ceiling(l.Memory)
	boundHeap(most)
	a.memory.SetMost(most)
	data, _ := store.ReadFile(a.path, maxQuotaSize)
	a.mu.Lock()
	defer a.mu.Unlock() // before the two above
	a.limits = l
	switch {
	case a.quota != nil:
		a.quota.Set(a.accounting(l), now)
	case l.Quota.Max > 0:
		a.quota, _ = limit.NewQuota(a.accounting(l), data, now)
		a.in, a.out = a.meter.Counted()
	}
	a.bindLocked(now)
}

// network returns what an exit goes through, which counts as the links do.
func (a *allowance) network() exit.Network {
	return meteredNetwork{Network: exit.System{}, meter: &a.meter}
}

// transport returns what links go through. It counts in any case: limits may come later.
func (a *allowance) transport() link.Transport {
	return limit.Transport{Under: link.TCP{}, Meter: &a.meter}
}

// declared returns the rate that the relay may declare, of kbit, in kbit/s.
func (a *allowance) declared(kbit uint32, now time.Time) uint32 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.Rate > 0 {
		kbit = min(kbit, uint32(min(a.limits.Rate/125, 1<<31)))
	}
	a.could, a.says = kbit, kbit
	if a.quota != nil && a.limits.Quota.Max > 0 {
		a.says = min(kbit, uint32(min(a.quota.DeclaredRate(now)/125, 1<<31)))
	}
	return a.says
}

// rate returns the bytes per second, each way, that bound the relay; 0: none.
func (a *allowance) rate() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return uint64(a.limits.Rate)
}

// heldBack is for how long the rate has held traffic back: looks of the last minute, the
// oldest first.
type heldBack []heldLook

type heldLook struct {
	at      time.Time
	in, out time.Duration // since the start
}

// heldFor is how far back the looks go.
const heldFor = time.Minute

// look notes for how long the rate has held traffic back.
func (a *allowance) look(now time.Time) {
	in, out := a.meter.Waited()
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.held) > 1 && now.Sub(a.held[1].at) >= heldFor {
		a.held = a.held[1:]
	}
	a.held = append(a.held, heldLook{now, in, out})
}

// ceiling shows what the rate has held back; nil: there is no ceiling.
func (a *allowance) ceiling(now time.Time) *control.RateUse {
	in, out := a.meter.Waited()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limits.Rate == 0 {
		return nil
	}
	use := &control.RateUse{HeldIn: in.Truncate(time.Second).Seconds(), HeldOut: out.Truncate(time.Second).Seconds()}
	if max(in, out) < time.Second {
		return use
	}
	use.Text = "Since the start it has held traffic back for " + longTime(in) + " coming in and " + longTime(out) + " going out."
	if len(a.held) == 0 {
		return use
	}
	was := a.held[0]
	span := now.Sub(was.at)
	if most := max(in-was.in, out-was.out); span > 0 && most >= span/20 {
		use.Binds = true
		use.Text = fmt.Sprintf("It binds: in the last %s traffic waited for it for %s coming in and %s going out. That lasts while clients ask for more; raise relay.rate if the line has more. %s",
			longTime(span), longTime(in-was.in), longTime(out-was.out), use.Text)
	}
	return use
}

// longTime is a duration in whole seconds.
func longTime(d time.Duration) string { return d.Round(time.Second).String() }

// used reports whether the quota of now is used up, and when the next one begins.
func (a *allowance) used(now time.Time) (usedUp bool, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.quota == nil {
		return false, time.Time{}
	}
	_, next = a.quota.Period(now)
	return a.quota.Exhausted(now), next
}

// count adds what has passed, and keeps it when that is due; final: in any case.
func (a *allowance) count(now time.Time, final bool) error {
	a.saving.Lock()
	defer a.saving.Unlock()
	a.mu.Lock()
	if a.quota == nil {
		a.mu.Unlock()
		return nil
	}
	in, out := a.meter.Counted()
	a.quota.Add(now, in-a.in, out-a.out)
	a.in, a.out = in, out
	a.bindLocked(now)
	data, due := a.quota.Due(now)
	if final {
		data, due = a.quota.Final(now), true
	}
	a.mu.Unlock()
	if !due {
		return nil
	}
	err := store.WriteFile(a.path, data)
	a.mu.Lock()
	a.fault = err
	if err != nil {
		a.quota.Unsaved()
	}
	a.mu.Unlock()
	return err
}

// keep counts, and tells what cannot be kept, once for as long as it cannot.
func (a *allowance) keep(tell func(string)) {
	a.mu.Lock()
	told := a.fault != nil
	a.mu.Unlock()
	if err := a.count(time.Now(), false); err != nil && !told {
		tell(fileFault(a.path, "record of the quota", err).Error() + ". After a crash the quota would be counted wrongly.")
	}
}

// watch counts until ctx ends. Each time it has declare say what the relay may carry
// now, and hears whether others have been told. When the quota is used up and they know,
// or restWait later, it calls rest, once, and goes on: what open circuits still bring
// counts too. What cannot be kept is told.
func (a *allowance) watch(ctx context.Context, tell func(string), declare func(now time.Time) (said bool), rest func()) {
	again := time.NewTicker(countEvery)
	defer again.Stop()
	rests := false
	var since time.Time // when it was used up
	for {
		a.keep(tell)
		now := time.Now()
		a.look(now)
		said := declare(now)
		usedUp, _ := a.used(now)
		if !usedUp || since.IsZero() {
			since = now
		}
		if usedUp && !rests && (said || now.Sub(since) >= a.restWait()) {
			rests = true
			rest()
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// restWait is how long a relay whose quota is used up waits for others to be told.
func (a *allowance) restWait() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return min(restWait, a.drain)
}

// rest waits for the next period, or the end of ctx.
func (a *allowance) rest(ctx context.Context) {
	again := time.NewTicker(countEvery) // clocks are set, and machines sleep
	defer again.Stop()
	for {
		if usedUp, _ := a.used(time.Now()); !usedUp {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// part shows the quota.
func (a *allowance) part(now time.Time) *control.Quota {
	a.mu.Lock()
	most, period := a.limits.Quota.Max, a.limits.Period
	if a.quota == nil || most == 0 {
		a.mu.Unlock()
		return nil
	}
	used := a.quota.Used(now)
	_, end := a.quota.Period(now)
	full := a.quota.Exhausted(now)
	could, says := a.could, a.says
	a.mu.Unlock()
	q := &control.Quota{Period: period, Used: uint64(used), Max: uint64(most), Ends: utc(end), UsedUp: full}
	until := end.UTC().Format(time.DateTime) + " UTC"
	switch {
	case full && used < most:
		q.Text = "The quota is used up, but for what is kept to end what the relay carries: it rests until " + until + ", or until you raise relay.accounting.max."
	case full:
		q.Text = "The quota is used up: the relay rests until " + until + ", or until you raise relay.accounting.max."
	case says < could:
		q.Text = fmt.Sprintf("So that the quota lasts until %s, the relay offers %s of the %s that it could, and fewer clients choose it. They hear of a change with one of the next lists of relays; there is nothing to do.", until, config.Kbit(says).About(), config.Kbit(could).About())
	}
	return q
}
