// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/limit"
	"chive/internal/store"
	"chive/internal/testutil"
)

// written is a configuration file that a test writes anew.
type written struct{ text string }

func (w *written) load() (*config.Config, error) {
	c, err := config.Load(config.Sources{
		Files: []config.File{{Path: "f", Optional: false}},
		Read:  func(string) ([]byte, fs.FileMode, error) { return []byte(w.text), 0o600, nil },
	})
	if err != nil {
		return nil, fault(Usage, "config", "Mend it.", "%s", err.Error())
	}
	return c, nil
}

// effect begins with a text.
func (w *written) effect(t *testing.T, text string) *Effect {
	t.Helper()
	w.text = text
	c, err := w.load()
	if err != nil {
		t.Fatal(err)
	}
	return NewEffect(c, w.load)
}

// reload wants that a text makes these keys count, and that those need a restart.
func (w *written) reload(t *testing.T, e *Effect, text, applied, restart string) {
	t.Helper()
	w.text = text
	done, err := e.Reload()
	if err != nil {
		t.Fatal(err)
	}
	if a, r := strings.Join(done.Applied, " "), strings.Join(done.Restart, " "); a != applied || r != restart {
		t.Errorf("%q: applied %q, want %q; restart %q, want %q", text, a, applied, r, restart)
	}
}

// TestReloadNamesNoForeignKey (CFG-4): a client does not read relay.enabled at a start
// either, so that no restart would have it count.
func TestReloadNamesNoForeignKey(t *testing.T) {
	var w written
	w.reload(t, w.effect(t, ""), "relay.enabled = true\nclient.hops = 4", "", "client.hops relay.enabled")
	w.reload(t, w.effect(t, "").Without("relay."), "relay.enabled = true\nclient.hops = 4", "", "client.hops")
	w.reload(t, w.effect(t, "").Without("client.", "relay.enabled"), "relay.enabled = true\nclient.hops = 4", "", "")
}

// TestReloadAppliesAllOrNothing (CFG-4): a mistake, and something that cannot be done,
// keep everything; what was prepared is undone, the last first.
func TestReloadAppliesAllOrNothing(t *testing.T) {
	var w written
	e := w.effect(t, "")
	var log []string
	var refuse error
	part := func(name string) prepare {
		return func(now, next *config.Config) (prepared, error) {
			return prepared{commit: func() { log = append(log, "commit "+name) }, drop: func() { log = append(log, "drop "+name) }}, nil
		}
	}
	e.follow(part("one"), "relay.contact")
	e.follow(part("two"), "log.")
	e.follow(func(_, _ *config.Config) (prepared, error) { return prepared{}, refuse }, "client.socks")
	said := func() string {
		for _, s := range e.Settings() {
			if s.Key == "relay.contact" {
				return s.Value
			}
		}
		return ""
	}

	w.text = "relay.contact = 7"
	wantFault(t, errOf(e.Reload()), "config")
	if len(log) != 0 || said() != `""` {
		t.Errorf("a mistake: %q, contact %s", log, said())
	}
	refuse = fault(Usage, "port_in_use", "Free it.", "The port of 127.0.0.1:1 is taken")
	w.text = "relay.contact = \"me\""
	wantFault(t, errOf(e.Reload()), "port_in_use")
	if want := []string{"drop two", "drop one"}; !slices.Equal(log, want) || said() != `""` {
		t.Errorf("what cannot be done: %q, contact %s", log, said())
	}
	log, refuse = nil, nil
	w.reload(t, e, w.text, "relay.contact", "")
	if want := []string{"commit one", "commit two"}; !slices.Equal(log, want) || said() != `"me"` {
		t.Errorf("%q, contact %s", log, said())
	}
	w.reload(t, e, w.text, "", "")
}

// TestReloadNamesWhatItDoes (CFG-4): what needs a restart each time, what no part of this
// process follows never, and a file's change by the key that names it.
func TestReloadNamesWhatItDoes(t *testing.T) {
	var w written
	e := w.effect(t, "client.hops = 3")
	var also []string
	e.follow(func(_, _ *config.Config) (prepared, error) { return prepared{also: also}, nil }, "relay.exit.policy", "relay.accounting.")
	const hops = "client.hops = 4\n"
	w.reload(t, e, hops+"relay.contact = \"me\"\nrelay.accounting.max = \"1 GiB\"", "relay.accounting.max", "client.hops")
	w.reload(t, e, hops+"relay.contact = \"me\"\nrelay.accounting.max = \"1 GiB\"", "", "client.hops")
	also = []string{"relay.exit.policy"}
	w.reload(t, e, hops+"relay.exit.policy = \"web\"\nrelay.contact = \"me\"\nrelay.accounting.max = \"1 GiB\"", "relay.exit.policy", "client.hops")
	for _, s := range e.Settings() {
		if s.Key == "client.hops" && s.Value != "3" {
			t.Errorf("client.hops is said to be %s before the restart", s.Value)
		}
	}
	also = nil
	w.reload(t, e, "client.hops = 3", "relay.accounting.max relay.exit.policy", "")

	var none *Effect
	none.follow(nil)
	if _, err := none.reloaded(); none.Settings() != nil {
		t.Error("no configuration is shown as one")
	} else if f := (*control.Failure)(nil); !errors.As(err, &f) || f.Code != "not_here" {
		t.Errorf("%v", err)
	}
	w.text = "nonsense"
	if _, err := e.reloaded(); err == nil {
		t.Error("nonsense is read")
	} else if f := (*control.Failure)(nil); !errors.As(err, &f) || f.Code != "config" || !strings.HasSuffix(f.Text, "Nothing was changed") {
		t.Errorf("%v", err)
	}
}

// TestLimitsFollowTheConfiguration (CFG-4, REL-4): a rate that nobody had said bounds from
// now on, even where it is what the default shows; a quota that is new counts from now on,
// one that is raised keeps what was used, and none bounds nothing.
func TestLimitsFollowTheConfiguration(t *testing.T) {
	s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
	if err := os.MkdirAll(filepath.Join(s.Dir(), "relay"), 0o700); err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	a, _, err := s.openAllowance(RelayLimits{}, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	var w written
	e := w.effect(t, "")
	e.limits(a)
	w.reload(t, e, "relay.rate = \"1 MiB/s\"", "relay.rate", "")
	if a.rate() != 1<<20 {
		t.Errorf("the rate is %d", a.rate())
	}
	if got := a.declared(1<<30, now); got != 1<<20/125 {
		t.Errorf("it declares %d kbit/s", got)
	}
	w.reload(t, e, "relay.rate = \"1 MiB/s\"\nrelay.accounting.max = \"1 MiB\"", "relay.accounting.max", "")
	if q := a.part(now); q == nil || q.Max != 1<<20 || q.Used != 0 {
		t.Errorf("a new quota: %+v", q)
	}
	a.declared(1<<30, now)
	if q := a.part(now); !strings.Contains(q.Text, "fewer clients choose it") || !strings.Contains(q.Text, "nothing to do") {
		t.Errorf("what a quota does is not said: %q", q.Text)
	}
	a.quota.Add(now, 1<<20, 0)
	if usedUp, _ := a.used(now); !usedUp {
		t.Error("it is not used up")
	}
	w.reload(t, e, "relay.rate = \"2 MiB/s\"\nrelay.accounting.max = \"1 GiB\"", "relay.rate relay.accounting.max", "")
	if usedUp, _ := a.used(now); usedUp || a.part(now).Used != 1<<20 {
		t.Errorf("a raised quota: %+v", a.part(now))
	}
	w.reload(t, e, "", "relay.rate relay.accounting.max", "")
	if a.part(now) != nil || a.rate() != 0 {
		t.Errorf("without limits: %+v, %d", a.part(now), a.rate())
	}
	if got := a.declared(1<<20, now); got != 1<<20 {
		t.Errorf("without limits it declares %d kbit/s", got)
	}

	// What the file says of the period counts for a quota that comes later.
	if err := a.count(now, true); err != nil {
		t.Fatal(err)
	}
	later, _, err := s.openAllowance(RelayLimits{}, 0, now)
	if err != nil {
		t.Fatal(err)
	}
	later.set(RelayLimits{Quota: limit.Accounting{Max: 1 << 30}, Period: "month"}, now)
	if q := later.part(now); q == nil || q.Used != 1<<20 {
		t.Errorf("a quota that comes back: %+v", q)
	}
}

// TestAStartSaysWhatAKillMayHaveCost of the quota, and nothing after an end in order.
func TestAStartSaysWhatAKillMayHaveCost(t *testing.T) {
	s, now := stateOf(t, filepath.Join(t.TempDir(), "relay")), time.Now()
	if err := os.MkdirAll(s.path("relay"), 0o700); err != nil {
		t.Fatal(err)
	}
	for final, want := range map[bool]string{false: "up to 40 MiB of the quota", true: ""} {
		limits := RelayLimits{Rate: 2 << 20, Quota: limit.Accounting{Max: 1 << 30, Each: limit.Month}, Period: "month"}
		a, _, err := s.openAllowance(limits, 0, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.count(now, final); err != nil {
			t.Fatal(err)
		}
		if _, note, err := s.openAllowance(limits, 0, now); err != nil || !strings.Contains(note, want) || want == "" && note != "" {
			t.Errorf("final %v: %q, %v", final, note, err)
		}
	}
}

// TestTheDeclaredRateOfAQuota goes down as it is used, to 0 with its end, then the relay
// rests; it rises with the next period, and at once when the operator raises the quota
// (REL-4).
func TestTheDeclaredRateOfAQuota(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
		const most = 86_400 * 2000 // bytes a day: 1 kB/s each way
		a, _, err := s.openAllowance(RelayLimits{Quota: limit.Accounting{Max: most, Each: limit.Day}, Period: "day"}, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var says []uint32 // each once
		knows := false    // others have been told
		ctx, stop := context.WithCancel(t.Context())
		rested := make(chan time.Time, 9)
		var tasks sync.WaitGroup
		defer tasks.Wait()
		defer stop()
		watch := func() {
			tasks.Go(func() {
				a.watch(ctx, func(string) {}, func(now time.Time) bool {
					mu.Lock()
					defer mu.Unlock()
					if n := a.declared(1000, now); len(says) == 0 || says[len(says)-1] != n {
						says = append(says, n)
					}
					return knows
				}, func() { rested <- time.Now() })
			})
		}
		wait := func(d time.Duration) []uint32 {
			<-time.After(d)
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(says)
		}
		use := func(n uint64) {
			a.mu.Lock()
			a.quota.Add(time.Now(), n, 0)
			a.mu.Unlock()
		}
		watch()
		if got := wait(2 * time.Second); len(got) != 1 || got[0] == 0 || got[0] > 20 {
			t.Fatalf("it declares %v", got)
		}
		use(most / 2)
		if got := wait(2 * time.Second); len(got) != 2 || got[1] == 0 || got[1] >= got[0] {
			t.Errorf("with half of it used it declares %v", got)
		}
		use(most / 2)
		began := time.Now()
		if got := wait(2 * time.Second); len(got) != 3 || got[2] != 0 || len(rested) != 0 {
			t.Errorf("used up it declares %v; it rests: %d", got, len(rested))
		}
		wait(2 * restWait)
		if at := <-rested; at.Sub(began) < restWait || at.Sub(began) > restWait+2*countEvery {
			t.Errorf("it rests %v later", at.Sub(began))
		}
		a.set(RelayLimits{Quota: limit.Accounting{Max: 4 * most, Each: limit.Day}, Period: "day"}, time.Now())
		if got := wait(2 * time.Second); len(got) != 4 || got[3] <= got[0] {
			t.Errorf("with a larger quota it declares %v", got)
		}
		a.set(RelayLimits{Rate: 1000, Quota: limit.Accounting{Max: 4 * most, Each: limit.Day}, Period: "day"}, time.Now())
		if got := wait(2 * time.Second); got[len(got)-1] != 8 {
			t.Errorf("with a lower rate it declares %v", got)
		}
		a.set(RelayLimits{Rate: 1 << 20, Quota: limit.Accounting{Max: most / 4, Each: limit.Day}, Period: "day"}, time.Now())
		if got := wait(2 * time.Second); got[len(got)-1] != 0 {
			t.Errorf("with a lower quota it declares %v", got)
		}
		if got := wait(24 * time.Hour); got[len(got)-1] == 0 {
			t.Errorf("on the next day it declares %v", got)
		}
	})
}

// TestAFailedWriteOfTheQuotaIsDueAgain at once, and told once.
func TestAFailedWriteOfTheQuotaIsDueAgain(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
		a, _, err := s.openAllowance(RelayLimits{Quota: limit.Accounting{Max: 1 << 30}, Period: "month"}, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "quota")
		a.path = filepath.Join(t.TempDir(), "missing", "quota")
		told := 0
		for range 3 {
			a.keep(func(string) { told++ })
		}
		if a.fault == nil || told != 1 {
			t.Errorf("%v; told %d times", a.fault, told)
		}
		a.path = path
		a.keep(func(string) { told++ })
		if data, err := store.ReadFile(path, maxQuotaSize); err != nil || len(data) == 0 || a.fault != nil || told != 1 {
			t.Errorf("it was not written as soon as it could be: %v, %v", err, a.fault)
		}
	})
}

// TestTheDrainIsPartOfTheReserve: a longer one keeps more of the quota.
func TestTheDrainIsPartOfTheReserve(t *testing.T) {
	s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
	a, _, err := s.openAllowance(RelayLimits{Rate: 1 << 10, Quota: limit.Accounting{Max: 1 << 40}, Period: "month"}, time.Second, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	short := a.accounting(a.limits).Reserve
	a.setDrain(time.Minute, time.Now())
	if long := a.accounting(a.limits).Reserve; long <= short {
		t.Errorf("%d bytes are kept for a minute, %d for a second", long, short)
	}
}

// TestABindingRateIsSaid (REL-4): how long it held traffic back in the last minute and
// since the start, and that it binds no more when it does not.
func TestABindingRateIsSaid(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		s := stateOf(t, filepath.Join(t.TempDir(), "relay"))
		a, _, err := s.openAllowance(RelayLimits{}, 0, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if a.ceiling(time.Now()) != nil {
			t.Error("a ceiling where none is")
		}
		a.set(RelayLimits{Rate: 100 << 10, Burst: 100 << 10}, time.Now())
		near, far := net.Pipe()
		conn := a.meter.Conn(near)
		go func() { _, _ = io.Copy(io.Discard, far) }()
		a.look(time.Now())
		if u := a.ceiling(time.Now()); u == nil || u.Binds || u.Text != "" {
			t.Errorf("before anything: %+v", u)
		}
		if _, err := conn.Write(make([]byte, 1100<<10)); err != nil { // ten seconds' worth beyond the burst
			t.Fatal(err)
		}
		a.look(time.Now())
		u := a.ceiling(time.Now())
		if u == nil || !u.Binds || u.HeldOut < 8 || u.HeldOut > 10 || u.HeldIn != 0 || !strings.Contains(u.Text, "raise relay.rate") {
			t.Errorf("while it binds: %+v", u)
		}
		for range 70 {
			<-time.After(time.Second)
			a.look(time.Now())
		}
		if u := a.ceiling(time.Now()); u.Binds || !strings.HasPrefix(u.Text, "Since the start it has held") || len(a.held) > 62 {
			t.Errorf("later: %+v", u)
		}
		_, _ = conn.Close(), far.Close()
	})
}

// TestReadingHoldsNothingUp: while the files are read anew, however long that takes, what
// is in force can be asked for, and a second reading waits for its turn.
func TestReadingHoldsNothingUp(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var file written
		e := file.effect(t, `relay.drain = "7s"`)
		slow := make(chan struct{})
		read, reads := e.read, 0
		e.read = func() (*config.Config, error) {
			reads++
			<-slow
			return read()
		}
		ended := make(chan error, 2)
		for range 2 {
			go func() {
				_, err := e.Reload()
				ended <- err
			}()
		}
		synctest.Wait()
		if e.Drain() != 7*time.Second || len(e.Settings()) == 0 || reads != 1 {
			t.Errorf("%d read at once", reads)
		}
		close(slow)
		if err := errors.Join(<-ended, <-ended); err != nil || reads != 2 {
			t.Errorf("%d were read: %v", reads, err)
		}
	})
}
