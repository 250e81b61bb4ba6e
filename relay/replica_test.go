// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/gossip"
	"chive/directory/snapshot"
	"chive/directory/transition"
	"chive/directory/vote"
	"chive/internal/store"
)

// TestRelaysAgreeOnEverySnapshot byte for byte, epoch after epoch, without one skipped.
func TestRelaysAgreeOnEverySnapshot(t *testing.T) {
	for _, n := range []int{4, 7} {
		inCity(t, n, genesis.Testnet(), func(t *testing.T, w *city) {
			w.startAll()
			if d := w.all[0].Status().Directory; !d.Listed || !d.Running || d.Committee.K != n || !d.Committee.Seat {
				t.Errorf("at its start: %+v", d)
			}
			for epoch := uint64(1); epoch <= 12; epoch++ {
				w.atEnd(epoch)
				if got := w.agree(w.all...); got != epoch {
					t.Fatalf("%d relays agree on epoch %d at the end of %d", n, got, epoch)
				}
			}
			for _, c := range w.all {
				d := c.Status().Directory
				if d.Head != 12 || d.Current != 12 || !d.Listed || !d.Running || d.Neighbours != n-1 || d.Committee.K != n || !d.Committee.Seat {
					t.Errorf("relay %d: %+v", c.n, d)
				}
				if d.Joining != "" || d.Clock != "" || d.Store != "" || d.Keys != "" || d.Committee.Reason != "" || len(d.Reports) != 0 {
					t.Errorf("relay %d has something to say: %+v", c.n, d)
				}
				if g := d.Gossip; g.BytesIn == 0 || g.BytesOut == 0 || g.MessagesIn == 0 || g.MessagesOut == 0 || g.ClosedFull != 0 || g.Streams != n-1 {
					t.Errorf("relay %d: gossip %+v", c.n, g)
				}
				var in, out uint64
				for k := range d.Gossip.KindsIn {
					in, out = in+d.Gossip.KindsIn[k], out+d.Gossip.KindsOut[k]
				}
				if g := d.Gossip; in != g.MessagesIn || out != g.MessagesOut || g.KindsIn[gossip.KindHello] == 0 || g.KindsOut[gossip.KindItem] == 0 || g.KindsIn[gossip.KindOther] != 0 {
					t.Errorf("relay %d: kinds of gossip %v %v", c.n, g.KindsIn, g.KindsOut)
				}
				if s := c.Status(); s.Links.In+s.Links.Out < n-1 || s.Overload != (Overload{}) || s.Links.Refused != 0 {
					t.Errorf("relay %d: links %+v, overload %+v", c.n, s.Links, s.Overload)
				}
				if !d.Young || !d.Unmeasured || d.Eligible != n || d.Stalled || d.Forked {
					t.Errorf("relay %d: %+v", c.n, d)
				}
				select {
				case <-c.Listed():
				default:
					t.Errorf("relay %d does not know that it is listed", c.n)
				}
				if !c.IsRelay(townAddr(0)) || c.IsRelay(townAddr(200)) {
					t.Errorf("relay %d: IsRelay", c.n)
				}
			}
		})
	}
}

// TestARelayThatIsKilledLosesNothingAndSignsNothingTwice whenever in an epoch it dies.
// Spec: EPOCH-4.
func TestARelayThatIsKilledLosesNothingAndSignsNothingTwice(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		victim := w.all[2]
		epoch := uint64(3)
		for _, at := range []time.Duration{50, 300, 1100, 2000, 2990, 3010, 3060, 3200, 6000} {
			w.until(epoch, at*time.Millisecond)
			head := victim.View()
			victim.kill()
			victim.start()
			if got := victim.View(); got.Header().Digest() != head.Header().Digest() {
				t.Errorf("killed %dms into an epoch with snapshot %d, it begins with %d", at, head.Epoch(), got.Epoch())
			}
			w.atEnd(epoch)
			w.agree(w.all[0], w.all[1], w.all[3])
			epoch++
		}
		w.atEnd(epoch)
		if got := w.agree(w.all...); got != epoch {
			t.Errorf("they agree on epoch %d at the end of %d", got, epoch)
		}
		if w.accused() {
			t.Error("somebody has signed two things")
		}
		for e := uint64(1); e <= epoch; e++ {
			if w.all[0].certificates()[e] == nil {
				t.Errorf("epoch %d was skipped", e)
			}
		}
		// The whole network dies and comes back.
		w.until(epoch+1, 3100*time.Millisecond)
		for _, c := range w.all {
			c.kill()
		}
		for _, c := range w.all {
			c.start()
		}
		w.atEnd(epoch + 3)
		if got := w.agree(w.all...); got < epoch+2 {
			t.Errorf("after all were killed they agree on epoch %d at the end of %d", got, epoch+3)
		}
		if w.accused() {
			t.Error("somebody has signed two things")
		}
	})
}

// TestAFullDiskCostsTheSeatAndNothingElse: the member abstains and says so, and takes
// part again when there is room.
func TestAFullDiskCostsTheSeatAndNothingElse(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		poor := w.all[3]
		poor.store.fail(syscall.ENOSPC)
		w.atEnd(6)
		if w.agree(w.all...) != 6 {
			t.Error("not all follow")
		}
		if words := poor.Status().Directory.Store; words == "" || poor.Status().Directory.Head != 6 {
			t.Errorf("%q, %+v", words, poor.Status().Directory)
		} else {
			t.Log(words)
		}
		if c := poor.Status().Directory.Committee; !c.Seat || c.Reason == "" {
			t.Errorf("it takes part, though it cannot store: %+v", c)
		}
		poor.store.fail(nil)
		w.atEnd(10)
		if words := poor.Status().Directory.Store; words != "" || w.agree(w.all...) != 10 {
			t.Errorf("afterwards: %q", words)
		}
		for e, c := range w.all[0].certificates() {
			if e >= 3 && e <= 6 && signed(t, w, poor, c) {
				t.Errorf("epoch %d was signed by who could not store it", e)
			}
		}
		// What could not be written then is there now: a restart goes on.
		poor.kill()
		poor.start()
		if poor.View().Epoch() != 10 || w.accused() {
			t.Errorf("it begins with epoch %d", poor.View().Epoch())
		}
	})
}

// TestAStoreWhoseFileIsGoneCostsTheSeat within seconds, whether something is to be written
// or not: nobody signs what a restart would not remember (KEY-8). The relay says so, logs
// it, carries on, and takes part again when the very file is back.
func TestAStoreWhoseFileIsGoneCostsTheSeat(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		poor := w.all[3]
		path := filepath.Join(t.TempDir(), "directory")
		table, err := store.OpenTable(path)
		if err != nil {
			t.Fatal(err)
		}
		defer table.Close()
		poor.table = table
		w.startAll()
		w.atEnd(2)
		if err := os.Rename(path, path+".moved"); err != nil {
			t.Skip("this system keeps an open file where it is")
		}
		pass(lookStore + 2*longestNap)
		s := poor.Status().Directory
		if !strings.Contains(s.Store, "was removed") || !s.Committee.Seat || !strings.Contains(s.Committee.Reason, "signs nothing") {
			t.Errorf("%q, %+v", s.Store, s.Committee)
		}
		w.atEnd(6)
		if w.agree(w.all...) != 6 {
			t.Error("not all follow")
		}
		if err := os.Rename(path+".moved", path); err != nil {
			t.Fatal(err)
		}
		w.atEnd(10)
		if s := poor.Status().Directory; s.Store != "" || s.Committee.Reason != "" || w.agree(w.all...) != 10 {
			t.Errorf("afterwards: %q, %+v", s.Store, s.Committee)
		}
		for e, c := range w.all[0].certificates() {
			if e >= 3 && e <= 6 && signed(t, w, poor, c) {
				t.Errorf("epoch %d was signed by who could not remember it", e)
			}
		}
		if w.accused() {
			t.Error("somebody has signed two things")
		}
	})
}

// TestAStoreThatIsSpoiledCostsTheSeat: its file is cut under the relay, which neither
// panics nor signs, says so and carries on; after a start it knows that it has lost what
// it promised (EPOCH-11).
func TestAStoreThatIsSpoiledCostsTheSeat(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("this system keeps others from an open file")
	}
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		poor := w.all[3]
		path := filepath.Join(t.TempDir(), "directory")
		table, err := store.OpenTable(path)
		if err != nil {
			t.Fatal(err)
		}
		poor.table = table
		w.startAll()
		w.atEnd(2)
		if err := os.Truncate(path, 0); err != nil {
			t.Fatal(err)
		}
		w.atEnd(3)
		pass(lookStore + 2*longestNap)
		s := poor.Status().Directory
		if !strings.Contains(s.Store, "written over or cut") || !s.Committee.Seat || !strings.Contains(s.Committee.Reason, "signs nothing") {
			t.Errorf("%q, %+v", s.Store, s.Committee)
		}
		w.atEnd(6)
		if w.agree(w.all...) != 6 || w.accused() {
			t.Error("not all follow, or somebody has signed two things")
		}
		for e, c := range w.all[0].certificates() {
			if e >= 3 && e <= 6 && signed(t, w, poor, c) {
				t.Errorf("epoch %d was signed by who could not remember it", e)
			}
		}
		poor.kill()
		if err := table.Close(); err != nil {
			t.Fatal(err)
		}
		if table, err = store.OpenTable(path); err != nil || !table.Damaged() {
			t.Fatalf("the start finds %v, damaged %v", err, table.Damaged())
		}
		_ = table.Close()
	})
}

// signed reports whether a founder has signed a certificate of term 0.
func signed(t *testing.T, w *city, c *citizen, cert *vote.Certificate) bool {
	t.Helper()
	l := transition.Genesis(w.doc).Owner(w.doc.Params, cert.Header.Epoch)
	for seat := range l.Seats {
		if l.Seats[seat].RID == c.RID() {
			return slices.Contains(cert.Signers.Members(), seat)
		}
	}
	t.Fatal("it has no seat")
	return false
}

// TestADamagedStoreCostsTheTerm, over restarts too. Spec: EPOCH-11.
func TestADamagedStoreCostsTheTerm(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		hurt := w.all[1]
		hurt.kill()
		hurt.store = &flakyStore{MemoryStore: NewMemoryStore(), damaged: true}
		hurt.start()
		heard := 0
		for time.Now().Before(w.doc.EpochStart(4)) { // from its first word on, when its list is the one of the beginning again
			pass(longestNap)
			d := hurt.Status().Directory
			if d.Committee.K == 0 {
				continue
			}
			if heard++; !strings.HasPrefix(d.Committee.Reason, reasonWords[vote.MemoryLost]) {
				t.Fatalf("in epoch %d, with the list of %d: the reason is %q", d.Current, d.Head, d.Committee.Reason)
			}
		}
		if heard == 0 {
			t.Error("it says nothing of the committee")
		}
		w.atEnd(4)
		if got := hurt.Status().Directory.Committee.Reason; !strings.HasPrefix(got, reasonWords[vote.MemoryLost]+": ") {
			t.Errorf("the reason is %q", got)
		}
		if hurt.store.Damaged() {
			t.Error("nothing was noted")
		}
		hurt.kill()
		hurt.start()
		w.atEnd(6)
		if w.agree(w.all...) != 6 {
			t.Error("it does not follow")
		}
		w.atEnd(11)
		for e, c := range w.all[0].certificates() {
			// Committee B's term was over in epoch 6, and its list is another one then.
			if e > 2 && (e%5 != 4 || e < 6) && signed(t, w, hurt, c) {
				t.Errorf("epoch %d was signed by who had lost its memory", e)
			}
		}
		w.atEnd(26)
		if d := hurt.Status().Directory; d.Committee.Reason != "" || !d.Committee.Seat || w.accused() {
			t.Errorf("in the next term: %+v", d.Committee)
		}
		hurt.kill() // the note is gone
		hurt.start()
		w.atEnd(28)
		if d := hurt.Status().Directory; d.Committee.Reason != "" {
			t.Errorf("in the next term, after a restart: %+v", d.Committee)
		}
	})
}

// TestAWrongClockAbstainsAndSaysSo, until it is set. Spec: EPOCH-11.
func TestAWrongClockAbstainsAndSaysSo(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Second, 3 * time.Second} {
		inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
			wrong := w.all[0]
			wrong.skew.Store(int64(skew))
			w.startAll()
			w.atEnd(5)
			d := wrong.Status().Directory
			if d.Clock == "" || d.Committee.Reason != reasonWords[vote.ClockOff] {
				t.Errorf("%v: clock %q, reason %q", skew, d.Clock, d.Committee.Reason)
			}
			t.Log(d.Clock)
			w.agree(w.all[1:]...)
			wrong.skew.Store(0)
			w.atEnd(8)
			if d := wrong.Status().Directory; d.Clock != "" || d.Committee.Reason != "" || w.agree(w.all...) != 8 {
				t.Errorf("%v, set right: clock %q, reason %q, head %d", skew, d.Clock, d.Committee.Reason, d.Head)
			}
			if w.accused() {
				t.Error("somebody has signed two things")
			}
		})
	}
}

// TestAClockThatKeepsNeighboursAwayIsNamed: the certificate of a relay whose clock is hours
// ahead is of another time than the others', who take no link of it. They are asked what
// the time is. Spec: EPOCH-11, BOOT-3.
func TestAClockThatKeepsNeighboursAwayIsNamed(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		member, newcomer := w.all[0], w.citizen()
		wrong := []*citizen{member, newcomer}
		for _, c := range wrong {
			c.skew.Store(int64(3 * time.Hour))
		}
		w.startAll()
		w.atEnd(4)
		for _, c := range wrong {
			if d := c.Status().Directory; d.Neighbours > 0 || !strings.Contains(d.Clock, "3h0m0s ahead of that of the relays that it has asked") || d.Joining != troubleClock {
				t.Errorf("neighbours %d, clock %q, joining %q", d.Neighbours, d.Clock, d.Joining)
			}
		}
		if r := member.Status().Directory.Committee.Reason; r != reasonWords[vote.ClockOff] {
			t.Errorf("the member takes no part: %q", r)
		}
		w.agree(w.all[1:4]...)
		for _, c := range wrong {
			c.skew.Store(0)
		}
		w.atEnd(8)
		for _, c := range wrong {
			if d := c.Status().Directory; d.Clock != "" || d.Joining != "" || !d.Listed || d.Committee.Reason != "" && c == member {
				t.Errorf("set right: %+v", d)
			}
		}
		if w.agree(w.all...) != 8 || w.accused() {
			t.Error("they do not agree")
		}
	})
}

// TestARelayThatIsGoneIsSeenToBe: members that have not heard of it probe it.
// Spec: GOS-13.
func TestARelayThatIsGoneIsSeenToBe(t *testing.T) {
	inCity(t, 5, genesis.Testnet(), func(t *testing.T, w *city) {
		w.startAll()
		w.atEnd(2)
		gone := w.all[4]
		rid := gone.RID()
		gone.leave()
		w.atEnd(7)
		w.agree(w.running()...)
		r, ok := w.all[0].View().Table().Relay(rid)
		if !ok || r.Flags&snapshot.FlagRunning != 0 {
			t.Errorf("listed %v, flags %x", ok, r.Flags)
		}
		gone.start()
		w.atEnd(13)
		r, ok = w.all[0].View().Table().Relay(rid)
		if !ok || r.Flags&snapshot.FlagRunning == 0 || w.agree(w.all...) != 13 {
			t.Errorf("back again: listed %v, flags %x", ok, r.Flags)
		}
	})
}

// TestTheMemoryIsATableOnDisk: relays go on from their files, one of which was spoiled.
func TestTheMemoryIsATableOnDisk(t *testing.T) {
	folder := t.TempDir()
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		open := func() {
			for _, c := range w.all {
				table, err := store.OpenTable(filepath.Join(folder, strconv.Itoa(c.n), "directory"))
				if err != nil {
					t.Fatal(err)
				}
				c.table = table
			}
		}
		stop := func() {
			for _, c := range w.all {
				c.leave()
				if err := c.table.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		open()
		w.startAll()
		w.atEnd(4)
		if got := w.agree(w.all...); got != 4 {
			t.Fatalf("they agree on epoch %d", got)
		}
		stop()
		spoiled := filepath.Join(folder, "3", "directory")
		if err := os.Truncate(spoiled, 20_000); err != nil {
			t.Fatal(err)
		}
		open()
		w.startAll()
		for _, c := range w.all[:3] {
			if got := c.View().Epoch(); got != 4 {
				t.Errorf("relay %d begins with epoch %d", c.n, got)
			}
		}
		if w.all[3].table.MovedTo() == "" {
			t.Error("the spoiled file was taken")
		}
		w.atEnd(9)
		if got := w.agree(w.all...); got != 9 || w.accused() {
			t.Errorf("they agree on epoch %d", got)
		}
		if got := w.all[3].Status().Directory.Committee.Reason; !strings.HasPrefix(got, reasonWords[vote.MemoryLost]+": ") {
			t.Errorf("who has lost its memory: %q", got)
		}
		stop()
	})
}
