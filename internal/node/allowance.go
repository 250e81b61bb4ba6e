// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"chive/internal/control"
	"chive/internal/limit"
	"chive/internal/store"
	"chive/link"
)

// RelayLimits bound what a relay moves. Zero: no bound. Spec: product REL-4.
type RelayLimits struct {
	Rate, Burst int64 // bytes per second each way at the sockets of its links, and bytes
	Quota       limit.Accounting
	Period      string // of Quota, as a person calls it
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
	maxQuotaSize = 256 // bytes of the file
)

// allowance holds a relay to its limits: it bounds what its links move, counts it, and
// says when the quota is used up.
type allowance struct {
	path  string
	meter limit.Meter

	mu      sync.Mutex
	limits  RelayLimits
	quota   *limit.Quota // nil: there never was one
	in, out uint64       // of the meter, as last added
	fault   error        // of the last attempt to keep it
}

// openAllowance reads what of the quota is used. A file that cannot be read counts for
// nothing used: it is told as note.
func (s *State) openAllowance(l RelayLimits, now time.Time) (a *allowance, note string, err error) {
	a = &allowance{limits: l, path: s.path(quotaFile)}
	if l.Rate > 0 {
		a.meter.SetRate(l.Rate, l.Burst)
	}
	if l.Quota.Max == 0 {
		return a, "", nil
	}
	l.Quota.Rate, l.Quota.Burst = l.Rate, l.Burst
	data, err := store.ReadFile(a.path, maxQuotaSize)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, "", fileFault(a.path, "record of the quota", err)
	}
	a.quota, err = limit.NewQuota(l.Quota, data, now)
	if errors.Is(err, limit.ErrQuotaState) {
		return a, "What the quota's record " + a.path + " says cannot be read: the relay counts from nothing in this period. Check the disk.", nil
	}
	return a, "", nil
}

// set changes the limits of a relay that runs. What has passed in the period stays
// counted. A quota that was not there at the start begins with what its file says of the
// period, or with nothing.
func (a *allowance) set(l RelayLimits, now time.Time) {
	a.meter.SetRate(l.Rate, l.Burst)
	l.Quota.Rate, l.Quota.Burst = l.Rate, l.Burst
	a.mu.Lock()
	defer a.mu.Unlock()
	a.limits = l
	switch {
	case a.quota != nil:
		a.quota.Set(l.Quota, now)
	case l.Quota.Max > 0:
		data, _ := store.ReadFile(a.path, maxQuotaSize)
		a.quota, _ = limit.NewQuota(l.Quota, data, now)
		a.in, a.out = a.meter.Counted()
	}
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
	if a.quota == nil || a.limits.Quota.Max == 0 {
		return kbit
	}
	return min(kbit, uint32(min(a.quota.DeclaredRate(now)/125, 1<<31)))
}

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
	a.mu.Lock()
	if a.quota == nil {
		a.mu.Unlock()
		return nil
	}
	in, out := a.meter.Counted()
	a.quota.Add(now, in-a.in, out-a.out)
	a.in, a.out = in, out
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
	a.mu.Unlock()
	return err
}

// watch counts until ctx ends, or the quota is used up: then it returns true. What
// cannot be kept is told once in a while.
func (a *allowance) watch(ctx context.Context, tell func(string)) bool {
	again := time.NewTicker(countEvery)
	defer again.Stop()
	for {
		if err := a.count(time.Now(), false); err != nil {
			tell(fileFault(a.path, "record of the quota", err).Error() + ". After a crash the quota would be counted wrongly.")
		}
		if usedUp, _ := a.used(time.Now()); usedUp {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-again.C:
		}
	}
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
	a.mu.Unlock()
	q := &control.Quota{Period: period, Used: uint64(used), Max: uint64(most), Ends: utc(end)}
	if full {
		q.Text = fmt.Sprintf("The quota is used up: the relay rests until %s UTC.", end.UTC().Format(time.DateTime))
	}
	return q
}
