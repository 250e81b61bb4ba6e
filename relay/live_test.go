// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"chive/directory/record"
	"chive/relay/exit"
)

// TestWhatARelaySaysChangesWhileItRuns (CFG-4): a new descriptor says it as soon as one
// may be published, also when it was changed between two replicas; what no descriptor
// can say changes nothing.
func TestWhatARelaySaysChangesWhileItRuns(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		own := func() *record.Descriptor {
			synctest.Wait()
			return w.relay.replica.Load().machine.Own()
		}
		gap := w.doc.Params.RepublishGap + time.Second
		pass(gap)
		if d := own(); d == nil || d.Contact != "" {
			t.Fatalf("at first its descriptor is %+v", d)
		}
		if err := w.relay.ChangeAbout(func(a *About) { a.Contact, a.Nickname = "ops@example.net", "oak" }); err != nil {
			t.Fatal(err)
		}
		pass(gap)
		if d := own(); d.Contact != "ops@example.net" || d.Nickname != "oak" || d.DeclaredRate != 100_000 {
			t.Errorf("after the change it says %q, %q, %d", d.Contact, d.Nickname, d.DeclaredRate)
		}
		seq := own().Seq
		pass(gap)
		if d := own(); d.Seq != seq {
			t.Error("it is published again though nothing has changed")
		}
		if err := w.relay.ChangeAbout(func(a *About) { a.Roles |= record.RoleExit }); !errors.Is(err, ErrAbout) {
			t.Errorf("an exit without a policy: %v", err)
		}
		if w.relay.about().Roles&record.RoleExit != 0 {
			t.Error("what was refused is said")
		}
		w.relay.replica.Load().keeper.said = nil // as one that was made before the last change
		w.relay.replica.Load().keeper.leave(func() {})
		pass(gap)
		if d := own(); d.Seq == seq {
			t.Error("a change between two replicas is lost")
		}
	})
}

// TestTheDeclaredRateFollowsWhatTheRelayMayCarry: a quota's lowering, rest, and the
// operator's word are published, not more often than the shortest gap permits (REL-4).
func TestTheDeclaredRateFollowsWhatTheRelayMayCarry(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		own := func() *record.Descriptor {
			synctest.Wait()
			return w.relay.replica.Load().machine.Own()
		}
		gap := w.doc.Params.RepublishGap
		pass(gap + time.Second)
		for _, rate := range []uint32{50_000, 49_000, 0, 200_000} {
			before := own()
			if err := w.relay.SetRate(rate); err != nil {
				t.Fatal(err)
			}
			pass(gap + time.Second)
			d := own()
			if d.DeclaredRate != rate || !w.relay.Declares(rate) || w.relay.Declares(rate+1) {
				t.Errorf("it declares %d, want %d", d.DeclaredRate, rate)
			}
			if d.Published.Sub(before.Published) < gap {
				t.Errorf("two descriptors are %v apart", d.Published.Sub(before.Published))
			}
		}
		// Many changes within one gap are one descriptor.
		seq := own().Seq
		for rate := range uint32(100) {
			if err := w.relay.SetRate(1000 - rate); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		pass(gap + time.Second)
		first := own().Seq
		pass(10 * gap)
		if d := own(); d.DeclaredRate != 901 || d.Seq-seq > 3 || d.Seq-first > 1 {
			t.Errorf("it declares %d; seq was %d, then %d, is %d", d.DeclaredRate, seq, first, d.Seq)
		}
	})
}

// TestARelayBecomesAnExitAndIsNoneAgain (CFG-4): for circuits that come later; one that
// was there keeps what it had.
func TestARelayBecomesAnExitAndIsNoneAgain(t *testing.T) {
	inTown(t, func(t *testing.T, w *town) {
		policy, err := exit.ParsePolicy("accept tcp *:80")
		if err != nil {
			t.Fatal(err)
		}
		e, err := exit.New(exit.Config{
			Network: exit.System{}, Policy: policy, Testnet: true,
			Own: func() ([]netip.Addr, error) { return nil, nil }, Forbidden: func(netip.AddrPort) bool { return false },
		})
		if err != nil {
			t.Fatal(err)
		}
		l := w.client()
		exits := func() (n int) {
			w.circuit(l, 1)
			w.relay.mu.Lock()
			defer w.relay.mu.Unlock()
			for c := range w.relay.circuits {
				if c.exit != nil {
					n++
				}
			}
			return n
		}
		if n := exits(); n != 0 {
			t.Fatalf("%d circuits of no exit can leave", n)
		}
		w.relay.SetExit(e)
		if err := w.relay.ChangeAbout(func(a *About) { a.Policy, a.Roles = policy.Summary(), a.Roles|record.RoleExit }); err != nil {
			t.Fatal(err)
		}
		if n := exits(); n != 1 {
			t.Errorf("%d circuits can leave after it became an exit, not the new one alone", n)
		}
		w.relay.SetExit(nil)
		if n := exits(); n != 1 {
			t.Errorf("%d circuits can leave after it ceased to be one, not the old one alone", n)
		}
	})
}
