// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"time"

	"chive/directory/record"
)

// Finding is one thing Lint has to say: what is wrong and what to do.
type Finding struct {
	Error   bool // the document is refused; else it is a warning
	Text    string
	Founder *record.Founder // whom it is about; nil: the document as a whole
	does    string          // the text behind the founder's name
}

// Named returns the text with another name for the founder whom it is about, such as
// that of a file.
func (f Finding) Named(name string) string {
	if f.Founder == nil {
		return f.Text
	}
	return "Founder " + name + " " + f.does
}

// RefusedError says why a document breaks the rules.
type RefusedError struct {
	Findings []Finding // errors only, at least one
}

// Error returns the first finding.
func (e *RefusedError) Error() string { return "genesis: document refused: " + e.Findings[0].Text }

// refused returns *RefusedError if Lint has errors.
func (d *Document) refused() error {
	var bad []Finding
	for _, f := range d.Lint() {
		if f.Error {
			bad = append(bad, f)
		}
	}
	if len(bad) > 0 {
		return &RefusedError{Findings: bad}
	}
	return nil
}

// linter collects findings.
type linter struct{ out []Finding }

func (l *linter) refuse(bad bool, format string, args ...any) {
	if bad {
		l.out = append(l.out, Finding{Error: true, Text: fmt.Sprintf(format, args...)})
	}
}

func (l *linter) warn(bad bool, format string, args ...any) {
	if bad {
		l.out = append(l.out, Finding{Text: fmt.Sprintf(format, args...)})
	}
}

// of adds a finding about a founder, who is named by address: the order in a document is
// that of identities, which nobody knows.
func (l *linter) of(f *record.Founder, isError, bad bool, format string, args ...any) {
	if !bad {
		return
	}
	name := "without an address"
	if len(f.Addresses) > 0 {
		name = f.Addresses[0].String()
	}
	found := Finding{Error: isError, Founder: f, does: fmt.Sprintf(format, args...)}
	found.Text = found.Named(name)
	l.out = append(l.out, found)
}

// Lint says everything that is wrong or doubtful with a document, errors first.
// It says nothing about signatures: Missing and Verify do. Founders are named by
// their first address.
func (d *Document) Lint() []Finding {
	var l linter
	l.refuse(!validName(d.Name), "The name must be 1 to %d letters a-z, digits and hyphens, and begin with a letter: choose another.", MaxNameSize)
	if !d.Params.carried() {
		l.refuse(true, "A parameter is negative, too large, or finer than a millisecond: choose another value.")
		return l.out
	}
	d.Params.lint(&l, d.Testnet)
	step := int64(d.Params.EpochLen / time.Second)
	l.refuse(d.Time.Unix() <= 0 || d.Time.Unix() > maxUnix || (step > 0 && d.Time.Unix()%step != 0),
		"The genesis time must be a multiple of epoch_len after 1970: make the document anew.")
	d.lintFounders(&l)
	d.lintHeirs(&l)
	sort.SliceStable(l.out, func(i, j int) bool { return l.out[i].Error && !l.out[j].Error })
	return l.out
}

func validName(name string) bool {
	if len(name) == 0 || len(name) > MaxNameSize || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// carried reports whether every value survives the wire.
func (p Params) carried() bool {
	for _, rows := range p.sections() {
		for _, r := range rows {
			if !r.exact() {
				return false
			}
		}
	}
	return true
}

// lint checks parameters against the bounds of a public network, and against each
// other.
func (p Params) lint(l *linter, testnet bool) {
	if !testnet {
		for _, rows := range p.sections() {
			for _, r := range rows {
				l.refuse(r.number() < r.lo || r.number() > r.hi,
					"The parameter %s is outside the bounds of a public network: take the preset's value, or make a testnet.", r.name)
			}
		}
	}
	order := func(ok bool, what string) {
		l.refuse(!ok, "The parameters do not fit together: %s. Change one of them.", what)
	}
	order(p.EpochLen >= time.Second && p.EpochLen%time.Second == 0, "epoch_len must be whole seconds, at least one")
	order(p.Day > 0 && p.Term > 0 && p.Term%2 == 0 && p.DrawLead > 0 && p.DrawLead < p.Term/2,
		"day and term must be positive, term even, draw_lead below half of term")
	order(p.Propose < p.Sign && p.Sign < p.SignEnd && p.SignEnd+p.CutOff <= p.EpochLen,
		"propose, sign, sign_end and the next cut_off must follow one another within an epoch")
	order(p.Propose+p.HoldOffMax <= p.Sign && p.HoldOffStep <= p.HoldOffMax, "the last proposal must come before sign")
	order(p.InvMeanOut > 0 && p.InvMeanIn > 0 && p.InvUrgent > 0, "inv_mean_out, inv_mean_in and inv_urgent must be positive, or what is told is not gathered")
	order(p.GetTimeout > 0 && p.GetTimeoutUrgent > 0, "get_timeout and get_timeout_urgent must be positive, or nobody has time to answer")
	order(p.RepairPeriod > 0, "repair_period must be positive, or relays do nothing but compare what they hold")
	order(p.RepublishGap > 0, "republish_gap must be positive, or one relay keeps all others busy with its descriptors")
	order(p.DescriptorLife > p.Republish+p.RepublishJitter && p.RepublishJitter < p.Republish,
		"descriptor_life must exceed republish and its jitter")
	order(p.OnionLife > 0 && p.OnionOverlap <= p.OnionLife, "onion_overlap must not exceed onion_life")
	order(p.CommitteeMax > 0 && p.CommitteeMax <= 96, "committee_max must be 1 to 96")
	order(p.CommitteeUptime <= 1000 && p.VoucherShare <= 1000 && p.NewcomerShare <= 1000 && p.CapRelay <= 1000 && p.CapGroup <= 1000 &&
		p.CapCohort <= 1000 && p.StopEpoch <= 1000 && p.StopDay <= 1000 && p.RepairJitter < 1000,
		"shares are thousandths and must not exceed 1000")
	order(p.GuardFrom <= p.GuardFull && p.GuardFull <= 10000, "guard_from must not exceed guard_full, nor that 10000 days")
	order(p.CapCohort == 0 || p.Cohort > 0, "cohort must be positive while cap_cohort is on")
	order(p.ClientFetch > p.ClientJitter, "client_jitter must be below client_fetch")
	order(p.UseLag > 0 && p.Fresh > p.UseLag && p.Warn > p.Fresh && p.Refuse > p.Warn, "use_lag, fresh, warn and refuse must rise")
	order(p.GuardLifeMin > 0 && p.GuardLifeMin <= p.GuardLifeMax, "guard_life_min must not exceed guard_life_max")
	order(p.GuardNew == 0 || (p.GuardNew >= 3 && p.GuardNew <= 64 && p.GuardNewPer > 0), "guard_new must be 0 or 3 to 64, guard_new_per positive")
	order(p.GuardAbsent > 0 && p.GuardDownAfter > 0, "guard_absent and guard_down_after must be positive")
	order(p.GuardRetryMin > 0 && p.GuardRetryMin <= p.GuardRetryMax, "guard_retry_min must not exceed guard_retry_max")
	order(p.EWMAHalfLife > 0, "ewma_half_life must be positive")
	order(p.AckEvery > 0 && p.WindowMin >= 2*p.AckEvery && p.WindowInit >= p.WindowMin && p.WindowMax >= p.WindowInit && p.WindowMax <= 1<<16,
		"two ack_every, window_min, window_init and window_max must rise")
	order(p.Alpha > 0 && p.Alpha <= p.Beta && p.Beta <= p.Delta && p.Gamma > 0, "alpha, beta and delta must rise")
	order(p.StreamCredit >= 4096 && p.StreamCredit <= 16<<20, "stream_credit must be 4 KiB to 16 MiB")
}

// lintFounders checks the founders against each other and the network's caps.
func (d *Document) lintFounders(l *linter) {
	n := len(d.Founders)
	l.refuse(n == 0, "There are no founders: add at least one founder's file.")
	l.refuse(n > MaxFounders, "There are more than %d founders: let the rest join later.", MaxFounders)
	if !d.Testnet {
		l.refuse(n < MinFounders, "A public network needs at least %d founders and has %d: find more, or make a testnet.", MinFounders, n)
		l.warn(n >= MinFounders && n < AdviceFounders, "A public network should have at least %d founders and has %d: with so few, losing some can stop it for good.", AdviceFounders, n)
	}
	var guards, exits int
	places := map[netip.AddrPort]bool{}
	onions := map[[32]byte]bool{}
	groups := map[netip.Prefix]bool{}
	for i, f := range d.Founders {
		if i > 0 {
			l.of(f, true, f.Identity.Equal(d.Founders[i-1].Identity), "is there twice: leave one out.")
		}
		l.of(f, true, onions[f.Onion], "has another founder's onion key: have it make its own.")
		onions[f.Onion] = true
		for _, a := range f.Addresses {
			l.of(f, true, places[a], "has an address and port of another founder: one of them must change.")
			places[a] = true
			l.of(f, true, !d.Testnet && !record.Public(a.Addr()), "has the address %v, which strangers cannot reach: give its public one.", a.Addr())
			groups[record.Network(a.Addr())] = true
		}
		if f.Roles&record.RoleGuard != 0 {
			guards++
		}
		if f.Roles&record.RoleExit != 0 {
			exits++
		}
		l.of(f, false, f.DeclaredRate == 0, "declares no bandwidth and would never be chosen: give a rate.")
	}
	d.lintAddressCaps(l)
	d.lintSeatCaps(l)
	l.warn(n > 0 && n < 3, "A circuit needs three relays and there are %d founders: nothing can be reached until others join.", n)
	l.warn(n > 0 && guards == 0, "No founder offers to be a guard: clients cannot enter.")
	l.warn(n > 0 && exits == 0, "No founder is an exit: clients can reach nothing outside the network.")
	l.refuse(n > 0 && d.Params.PathNetworkRule && len(groups) < 3,
		"The founders lie in fewer than three networks (/16, /32): no circuit could be built, so find founders elsewhere.")
}

// lintAddressCaps counts founders by address as admission would.
func (d *Document) lintAddressCaps(l *linter) {
	p := d.Params
	counts := map[netip.Prefix]int{}
	for _, f := range d.Founders {
		var mine []netip.Prefix
		for _, a := range f.Addresses {
			bits := []int{32, 24}
			if a.Addr().Is6() {
				bits = []int{48}
			}
			for _, b := range bits {
				if net, err := a.Addr().Prefix(b); err == nil && !slices.Contains(mine, net) {
					mine = append(mine, net)
				}
			}
		}
		over := false
		for _, net := range mine {
			counts[net]++
			most := p.AddrPerIPv6Net
			switch {
			case net.Bits() == 32:
				most = p.AddrPerIPv4
			case net.Bits() == 24:
				most = p.AddrPerIPv4Net
			}
			over = over || (most > 0 && counts[net] > most)
		}
		l.of(f, true, over, "shares its address or network with more founders than the network allows: leave some out.")
	}
}

// lintSeatCaps compares how many founders can have a seat at once with how many a public
// network needs: those that the caps keep out of the committee do not count toward it.
func (d *Document) lintSeatCaps(l *linter) {
	n := len(d.Founders)
	if d.Testnet || n < MinFounders { // which is said
		return
	}
	seats := d.mostSeats()
	const share = "Of %d founders no more than %d can be in the committee at once, since others share a network (/16, /32), an IPv4 /20 or a family with them"
	l.refuse(seats < MinFounders, share+"; a public network needs %d: find founders elsewhere.", n, seats, MinFounders)
	l.warn(seats >= MinFounders && seats < min(n, AdviceFounders), share+"; there should be at least %d: find founders elsewhere.", n, seats, AdviceFounders)
}

// mostSeats returns how many founders can have a seat at once at the most: in whatever
// order they are drawn, none of the caps leaves room for more.
func (d *Document) mostSeats() int {
	groups, families, nets := map[netip.Prefix]int{}, map[string]int{}, map[netip.Prefix]int{}
	var alone [2]int // in no family; without an IPv4 address
	for _, f := range d.Founders {
		var four, six netip.Addr
		for _, a := range f.Addresses {
			if ip := a.Addr(); ip.Is4() && !four.IsValid() {
				four = ip
			} else if !ip.Is4() && !six.IsValid() {
				six = ip
			}
		}
		switch net, err := four.Prefix(20); {
		case err == nil && four.IsValid():
			groups[record.Network(four)]++
			nets[net]++
		default:
			groups[record.Network(six)]++
			alone[1]++
		}
		if f.Family == nil {
			alone[0]++
		} else {
			families[string(f.Family)]++
		}
	}
	p := d.Params
	return min(p.CommitteeMax, capped(groups, p.SeatsPerGroup), alone[0]+capped(families, p.SeatsPerFamily), alone[1]+capped(nets, p.SeatsPerNet))
}

// capped adds up what each holder may have; a cap of 0 is off.
func capped[K comparable](held map[K]int, most int) (sum int) {
	for _, n := range held {
		if most > 0 {
			n = min(n, most)
		}
		sum += n
	}
	return sum
}
