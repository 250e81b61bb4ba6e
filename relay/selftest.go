// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"chive/directory"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/internal/redact"
	"chive/link"
)

// Numbers of the self-test. Spec: product §6 (REL-7), protocol §7 (REACH-1).
const (
	reachVoices  = 3                               // relays, in as many places, whose answers are wanted
	reachWaves   = 3                               // and so many times as many are asked at most
	reachAgain   = 5 * time.Minute                 // between two tests while an address is not confirmed
	reachSoon    = 5 * time.Second                 // same when nobody could be asked; then twice as long
	reachLink    = 5 * time.Second                 // for a link to whom is asked
	reachPatient = dialBackTimeout + 2*time.Second // for an answer
	maxAddresses = record.MaxAddressCount          //
)

// Unreached is why a relay that dialled an address has not found this one there. Spec:
// protocol §7 (REACH-3).
type Unreached string

// Causes.
const (
	UnreachedRefused Unreached = "refused"
	UnreachedTimeout Unreached = "timeout"
	UnreachedNoWay   Unreached = "unreachable"
	UnreachedOther   Unreached = "wrong_identity"
)

// unreached are the causes by their codes.
var unreached = map[dirsync.Reach]Unreached{
	dirsync.ReachRefused: UnreachedRefused, dirsync.ReachTimeout: UnreachedTimeout,
	dirsync.ReachUnreachable: UnreachedNoWay, dirsync.ReachOther: UnreachedOther,
}

// AddressReach is what the newest self-test says of one address.
type AddressReach struct {
	Address netip.AddrPort
	// Reached relays have dialled it and found this relay; Failed are the causes of those
	// that have not.
	Reached int
	Failed  []Unreached
}

// Confirmed reports whether most of those that dialled it found this relay.
func (a *AddressReach) Confirmed() bool { return a.Reached > len(a.Failed) }

// Refuted reports whether they did not.
func (a *AddressReach) Refuted() bool { return !a.Confirmed() && len(a.Failed) > 0 }

// ReachStatus is what the newest self-test says. A zero Tested: none has ended.
type ReachStatus struct {
	Tested      time.Time
	Addresses   []AddressReach
	ConfirmedBy int        // relays that found this one at an address
	Observed    netip.Addr // where this relay's links come from, as most of those asked say; zero: not known
}

// selfTest is what belongs to testing oneself.
type selfTest struct {
	mu        sync.Mutex
	status    ReachStatus
	described []netip.AddrPort // that its descriptor says; nil: not known
	first     chan struct{}    // closed when the first test has ended
	again     chan struct{}    // a token: the addresses have changed
	told      string           // the last line in the log
}

// Reach returns what the newest self-test says.
func (r *Relay) Reach() ReachStatus {
	r.self.mu.Lock()
	defer r.self.mu.Unlock()
	return r.self.status
}

// Tested is closed when the first self-test has ended.
func (r *Relay) Tested() <-chan struct{} { return r.self.first }

// newAddresses forgets what a test said of others, and tests.
func (r *Relay) newAddresses() {
	r.self.mu.Lock()
	r.self.status = ReachStatus{}
	r.self.mu.Unlock()
	select {
	case r.self.again <- struct{}{}:
	default:
	}
}

// Published returns the addresses that a descriptor may say now: those that most who
// dialled found this relay at, those of the newest table, and those that nobody could be
// asked about. None: the test is under way, or all say no. Spec: protocol §7 (REACH-4).
func (r *Relay) Published() (out []netip.AddrPort) {
	listed := addressesOf(r.View().Table(), r.rid)
	r.self.mu.Lock()
	defer r.self.mu.Unlock()
	s := &r.self.status
	for _, a := range r.about().Addresses {
		i := slices.IndexFunc(s.Addresses, func(t AddressReach) bool { return t.Address == a })
		if slices.Contains(listed, a) || i >= 0 && !s.Addresses[i].Refuted() {
			out = append(out, a)
		}
	}
	return out
}

// publishable is what a descriptor says now. false: there is no address to publish.
func (r *Relay) publishable() (About, bool) {
	a := *r.about()
	a.Addresses = r.Published()
	return a, len(a.Addresses) > 0
}

// withheld reports whether a test has ended and there is no address to publish.
func (r *Relay) withheld() bool { return !r.Reach().Tested.IsZero() && len(r.Published()) == 0 }

// describes notes what addresses the newest descriptor says.
func (r *Relay) describes(addrs []netip.AddrPort) {
	r.self.mu.Lock()
	r.self.described = addrs
	r.self.mu.Unlock()
}

// testSelf tests again and again whether others reach this relay, until ctx ends.
func (r *Relay) testSelf(ctx context.Context) {
	var seed [32]byte
	if _, err := io.ReadFull(r.cfg.Rand, seed[:]); err != nil {
		return
	}
	random := rand.New(rand.NewChaCha8(seed))
	soon := reachSoon
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.self.again:
			soon = reachSoon
		case <-t.C:
			if !r.wantsTest() {
				t.Reset(reachAgain)
				continue
			}
		}
		addrs := r.about().Addresses
		result := r.test(ctx, random, addrs)
		if ctx.Err() != nil {
			return
		}
		if !r.tested(addrs, result) {
			continue // they have changed: there is a token
		}
		wait := reachAgain
		if !slices.ContainsFunc(result.Addresses, func(a AddressReach) bool { return a.Reached+len(a.Failed) > 0 }) {
			wait, soon = soon, min(2*soon, reachAgain)
		}
		t.Reset(wait)
	}
}

// wantsTest reports whether an address is not confirmed, or the list says that others do
// not reach this relay any more.
func (r *Relay) wantsTest() bool {
	if own, listed := r.View().Table().Relay(r.rid); listed && own.Flags&snapshot.FlagRunning == 0 {
		return true
	}
	s := r.Reach()
	return s.Tested.IsZero() || slices.ContainsFunc(s.Addresses, func(a AddressReach) bool { return !a.Confirmed() })
}

// tested takes a test's result, and has others told what follows from it. false: the
// addresses have changed meanwhile.
func (r *Relay) tested(addrs []netip.AddrPort, result ReachStatus) bool {
	r.self.mu.Lock()
	if !slices.Equal(addrs, r.about().Addresses) {
		r.self.mu.Unlock()
		return false
	}
	r.self.status = result
	select {
	case <-r.self.first:
	default:
		close(r.self.first)
	}
	described := r.self.described
	r.self.mu.Unlock()
	r.logReach(result)
	out := r.Published()
	d := r.replica.Load()
	if d == nil || len(out) == 0 {
		return true
	}
	waits := false
	d.keeper.leave(func() { waits = d.keeper.wanted != nil })
	if !waits && described != nil && !slices.Equal(described, out) {
		d.send(input{event: directory.Renew{}})
	}
	return true
}

// logReach says what a test says when it is not the same as before.
func (r *Relay) logReach(s ReachStatus) {
	line := "others reach this relay"
	refuted := slices.ContainsFunc(s.Addresses, func(a AddressReach) bool { return a.Refuted() })
	switch {
	case refuted:
		line = "others do not reach this relay at each of its addresses; see the relay's status"
	case s.ConfirmedBy == 0:
		return
	}
	r.self.mu.Lock()
	same := r.self.told == line
	r.self.told = line
	r.self.mu.Unlock()
	log := r.cfg.Log.Info()
	if refuted {
		log = r.cfg.Log.Warn()
	}
	if !same {
		log.EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("self_test")).EmbedObject(redact.Count("confirmed_by", s.ConfirmedBy)).Msg(line)
	}
}

// test asks relays in different places to dial addrs, a few at once, until enough have
// done so.
func (r *Relay) test(ctx context.Context, random *rand.Rand, addrs []netip.AddrPort) ReachStatus {
	s := ReachStatus{}
	for _, a := range addrs {
		s.Addresses = append(s.Addresses, AddressReach{Address: a})
	}
	var seen []netip.Addr
	whom := r.reachWhom(random)
	for voices := 0; voices < reachVoices && len(whom) > 0 && ctx.Err() == nil; {
		n := min(reachVoices-voices, len(whom))
		answers := make([][]dirsync.Answer, n)
		var asking sync.WaitGroup
		for i, rid := range whom[:n] {
			asking.Go(func() { answers[i] = r.askReach(ctx, rid, addrs) })
		}
		asking.Wait()
		whom = whom[n:]
		for _, of := range answers {
			tried, reached := false, false
			for i, a := range of {
				if i == 0 && a.Observed.IsValid() {
					seen = append(seen, a.Observed)
				}
				switch {
				case a.Reach == dirsync.Reached:
					s.Addresses[i].Reached++
					reached = true
				case a.Reach.Tried():
					s.Addresses[i].Failed = append(s.Addresses[i].Failed, unreached[a.Reach])
				}
				tried = tried || a.Reach.Tried()
			}
			if tried {
				voices++
			}
			if reached {
				s.ConfirmedBy++
			}
		}
	}
	s.Observed = most(seen)
	s.Tested = r.wall().Round(0)
	return s
}

// most returns the address that more than half of all are; zero: none.
func most(seen []netip.Addr) netip.Addr {
	times := map[netip.Addr]int{}
	for _, a := range seen {
		if times[a]++; 2*times[a] > len(seen) {
			return a
		}
	}
	return netip.Addr{}
}

// reachWhom draws running relays to ask, each in another place, in random order.
func (r *Relay) reachWhom(random *rand.Rand) (out []record.RID) {
	table := r.View().Table()
	places := map[uint16]bool{}
	for _, i := range random.Perm(table.Len()) {
		t := table.At(i)
		if t.RID == r.rid || t.Flags&snapshot.FlagRunning == 0 || r.genesis.Params.PathNetworkRule && places[t.Leaf.Group] {
			continue
		}
		places[t.Leaf.Group] = true
		if out = append(out, t.RID); len(out) == reachVoices*reachWaves {
			break
		}
	}
	return out
}

// askReach asks one relay to dial each of addrs. What it does not say is left out.
func (r *Relay) askReach(ctx context.Context, rid record.RID, addrs []netip.AddrPort) (out []dirsync.Answer) {
	linking, cancel := context.WithTimeout(ctx, reachLink)
	defer cancel()
	at := r.permitted(addressesOf(r.View().Table(), rid))
	if len(at) == 0 {
		return nil
	}
	l, err := r.linkTo(linking, rid, at)
	if err != nil {
		return nil
	}
	st, err := l.Open(link.StreamDirectory)
	if err != nil {
		return nil
	}
	defer st.Close()
	stop := context.AfterFunc(ctx, func() { st.Close() })
	defer stop()
	for _, a := range addrs {
		q := &dirsync.Request{Code: dirsync.CodeReach, Address: a}
		body, err := q.Encode()
		if err != nil {
			return out
		}
		_ = st.SetDeadline(time.Now().Add(reachPatient))
		if _, err := st.Write(dirsync.Frame(body)); err != nil {
			return out
		}
		reply, err := dirsync.ReadAnswer(st)
		if err != nil {
			return out
		}
		answer, err := dirsync.DecodeAnswer(reply, q)
		if err != nil || answer.Code != dirsync.CodeReach { // it does not know the question, or is busy
			return out
		}
		out = append(out, *answer)
	}
	return out
}
