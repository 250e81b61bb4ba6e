// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/testutil"
)

func TestStoriesOfWhatFailedOrWasSlowAreKept(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var a stories
		ctx := WithListener(t.Context(), "browsers")
		quick := a.begin(ctx, KindConnect, "a.example:443")
		quick.asks("c1")
		quick.opened()
		quick.gave(10)
		time.Sleep(time.Second)
		quick.took(100)
		quick.took(100)
		e, ok := a.find(quick.e.ID)
		if !ok || e.State != StreamOpen || e.Up != 10 || e.Down != 200 || e.FirstByte != time.Second || e.CircuitID != "c1" || e.Listener != "browsers" {
			t.Errorf("an open one: %+v", e)
		}
		quick.closed(nil)
		if _, ok := a.find(quick.e.ID); ok || len(a.list()) != 0 {
			t.Error("what went well is kept")
		}

		slow := a.begin(ctx, KindConnect, "b.example:443")
		time.Sleep(slowStory + time.Millisecond)
		slow.opened()
		if e, ok := a.find(LastStream); !ok || e.ID != slow.e.ID || len(a.list()) != 1 {
			t.Error("a slow one is not the last one while it is open")
		}
		slow.closed(nil)
		if e, ok := a.find(LastStream); !ok || e.State != StreamClosed || e.Took != slowStory+time.Millisecond {
			t.Errorf("a slow one that is over: %+v", e)
		}

		failed := a.begin(ctx, KindResolve, "c.example")
		failed.answered(errors.Join(errPolicy, errors.New("x")))
		if e, ok := a.find(LastStream); !ok || e.State != StreamFailed || e.Reason != "exit_policy" || e.Text == "" || e.Fix == "" {
			t.Errorf("a failed one: %+v", e)
		}
		late := a.begin(ctx, KindConnect, "d.example:80")
		late.answered(context.DeadlineExceeded)
		if e, _ := a.find(LastStream); e.ID != late.e.ID || e.Reason != "timeout" {
			t.Errorf("one whose program had no more time: %+v", e)
		}
		gone := a.begin(ctx, KindConnect, "d.example:80")
		gone.answered(context.Canceled)
		if e, _ := a.find(LastStream); e.ID != late.e.ID {
			t.Error("one that its program gave up at once is kept")
		}
		broken := a.begin(ctx, KindConnect, "e.example:80")
		broken.opened()
		broken.closed(errBroken)
		if e, _ := a.find(LastStream); e.ID != broken.e.ID || e.Reason != "circuit_failed" {
			t.Errorf("one that broke: %+v", e)
		}
		if n := a.streams.Load(); n != 0 {
			t.Errorf("%d streams are open", n)
		}
		all := a.list()
		for i := 1; i < len(all); i++ {
			if all[i].Began.After(all[i-1].Began) {
				t.Error("not the newest first")
			}
		}
	})
}

func TestStoriesAreForgotten(t *testing.T) {
	var a stories
	a.begin(t.Context(), KindConnect, "a.example:443").answered(errRefused)
	old := a.begin(t.Context(), KindConnect, "b.example:443")
	old.tried(TryExplained{Phase: phaseCircuit})
	a.forget()
	if _, ok := a.find(LastStream); ok {
		t.Error("a story is told after it was forgotten")
	}
	if all := a.list(); len(all) != 1 || len(all[0].Tries) != 0 {
		t.Errorf("of what goes on is told %+v", all)
	}
	old.answered(errRefused)
	if _, ok := a.find(LastStream); ok || len(a.list()) != 0 {
		t.Error("a request from before is kept")
	}
}

func TestStoriesAreBounded(t *testing.T) {
	var a stories
	for i := range maxKeptStories + 10 {
		a.begin(t.Context(), KindConnect, fmt.Sprintf("%d.example:443", i)).answered(errRefused)
	}
	if len(a.kept) != maxKeptStories || a.kept[0].e.Target != "10.example:443" {
		t.Errorf("%d are kept, from %s on", len(a.kept), a.kept[0].e.Target)
	}
	var last *story
	for range maxOpenStories + 1 {
		last = a.begin(t.Context(), KindConnect, "x.example:443")
	}
	if len(a.open) != maxOpenStories {
		t.Errorf("%d are open", len(a.open))
	}
	for range maxStoryTries + 1 {
		last.tried(TryExplained{})
	}
	last.answered(errRefused)
	e, ok := a.find(LastStream)
	if !ok || e.ID != last.e.ID || len(e.Tries) != maxStoryTries {
		t.Error("one beyond the bound that fails is not kept, or with more steps than may be")
	}
}

func TestStoriesTellThatTheyChange(t *testing.T) {
	var states []string
	a := stories{tell: func(e Event) {
		if e.Kind != EventStream || e.ID == "" {
			t.Errorf("%+v", e)
		}
		states = append(states, e.State)
	}}
	s := a.begin(t.Context(), KindConnect, "a.example:443")
	s.opened()
	s.closed(nil)
	a.begin(t.Context(), KindResolve, "a.example").answered(errNotFound)
	if got := fmt.Sprint(states); got != "[waiting open closed waiting failed]" {
		t.Error(got)
	}
}

// TestWhatIsRefusedHereHasAStory (product §4.6): also what no exit was asked for, within
// the bound of all.
func TestWhatIsRefusedHereHasAStory(t *testing.T) {
	c := Client{doc: &genesis.Document{Testnet: true}}
	if _, err := c.OpenUDP(t.Context(), "k", "10.0.0.1", 53); err == nil {
		t.Error("an association to a private address")
	}
	if e, ok := c.Stream(LastStream); !ok || e.Target != "10.0.0.1:53" || e.Reason != "private_address" || e.Kind != KindUDP {
		t.Errorf("its story: %+v", e)
	}
	if _, err := c.Dial(t.Context(), "k", "10.0.0.2", 80, nil); err == nil {
		t.Error("a connection to a private address")
	}
	if e, ok := c.Stream(LastStream); !ok || e.Target != "10.0.0.2:80" || e.Reason != "private_address" || e.Kind != KindConnect || len(e.Tries) != 1 || e.Tries[0].Phase != "client" {
		t.Errorf("its story: %+v", e)
	}
	if _, _, err := c.ResolveAddr(t.Context(), "k", netip.MustParseAddr("10.0.0.3")); err == nil {
		t.Error("a private address was looked up")
	}
	if e, ok := c.Stream(LastStream); !ok || e.Target != "10.0.0.3" || e.Reason != "private_address" || e.Kind != KindResolve || len(e.Tries) != 1 || e.Tries[0].Phase != "client" {
		t.Errorf("its story: %+v", e)
	}
	r := Refusal{Kind: KindConnect, Target: "printer.local:631", Reason: "name_not_found", Text: "Not here.", Fix: "Without the proxy."}
	c.Refused(WithListener(t.Context(), "main"), r)
	e, ok := c.Stream(LastStream)
	if !ok || e.State != StreamFailed || e.Kind != r.Kind || e.Target != r.Target || e.Reason != r.Reason || e.Text != r.Text ||
		e.Fix != r.Fix || e.Listener != "main" || len(e.Tries) != 1 || e.Tries[0].Phase != "client" || e.Tries[0].Relay != "" {
		t.Errorf("%v %+v", ok, e)
	}
	for i := range maxKeptStories + 1 {
		r.Target = fmt.Sprintf("printer%d.local:631", i)
		c.Refused(t.Context(), r)
	}
	if n := len(c.Streams()); n != maxKeptStories {
		t.Errorf("%d are kept", n)
	}
	c.stories.forget()
	if len(c.Streams()) != 0 {
		t.Error("not forgotten")
	}
}

// TestUnansweredDatagramsHaveAStory (product §4.6): UDP reports nothing, so that silence is
// all there is to tell.
func TestUnansweredDatagramsHaveAStory(t *testing.T) {
	for _, c := range []struct {
		kind     string
		up, down int
		kept     bool
	}{{KindUDP, 20, 0, true}, {KindUDP, 20, 30, false}, {KindUDP, 0, 0, false}, {KindConnect, 20, 0, false}} {
		var a stories
		s := a.begin(t.Context(), c.kind, "192.0.2.1:53")
		s.opened()
		s.gave(c.up)
		s.took(c.down)
		s.closed(nil)
		e, kept := a.find(LastStream)
		if kept != c.kept || kept && (e.State != StreamClosed || e.Reason != unanswered || e.Fix == "" || e.Target != "192.0.2.1:53") {
			t.Errorf("%+v: %v %+v", c, kept, e)
		}
	}
}

// TestAStreamWhoseAnswerDidNotServeHasAStory (product §4.6): it was connected, so that its own
// end would be no failure; what the proxy could not take is the last one that failed.
func TestAStreamWhoseAnswerDidNotServeHasAStory(t *testing.T) {
	var a stories
	a.begin(t.Context(), KindResolve, "old.example").answered(errRefused)
	s := a.begin(t.Context(), KindConnect, "a.example:80")
	s.opened()
	s.took(20)
	s.failed(failure("bad_answer", "No HTTP.", "Check the port."))
	s.failed(failure("timeout", "Later.", "Wait.")) // the first one says it
	s.cut.Store(true)
	s.closed(nil)
	e, ok := a.find(LastStream)
	if !ok || e.Target != "a.example:80" || e.State != StreamFailed || e.Reason != "bad_answer" || e.Text != "No HTTP." || e.Fix != "Check the port." || e.Down != 20 ||
		len(e.Tries) != 1 || e.Tries[0].Phase != phaseAnswer || e.Tries[0].Reason != "bad_answer" {
		t.Errorf("%v %+v", ok, e)
	}
	(*story)(nil).failed(errRefused)
}

// TestAnExitThatTakesDatagramsIsNoAnswer: whether any comes back is told apart.
func TestAnExitThatTakesDatagramsIsNoAnswer(t *testing.T) {
	for protocol, want := range map[byte]string{record.UDP: "the exit takes datagrams", record.TCP: "it was answered"} {
		if got := explainExit(ending(1), need{protocol: protocol, port: 53}, nil, time.Second); got.Text != want || got.Phase != phaseConnect {
			t.Errorf("%v: %+v", protocol, got)
		}
	}
}

// TestPrivateAddressesStayHere (SOCKS-14): a testnet's exits reach loopback only, so that
// is all of it that they are told of.
func TestPrivateAddressesStayHere(t *testing.T) {
	for _, testnet := range []bool{false, true} {
		c := Client{doc: &genesis.Document{Testnet: testnet}}
		for host, loopback := range map[string]bool{
			"10.0.0.1": false, "192.168.1.1": false, "::ffff:10.0.0.1": false, "fe80::1": false, "fc00::1": false, "100.64.0.1": false, "0.0.0.0": false, "240.0.0.1": false,
			"127.0.0.1": true, "::1": true, "::ffff:127.0.0.1": true,
		} {
			if f := c.refused(host); (f == nil) != (loopback && testnet) || f != nil && f.Reason() != "private_address" {
				t.Errorf("testnet %v, %s: %v", testnet, host, f)
			}
		}
		if c.refused("a.example") != nil || c.refused("9.9.9.9") != nil {
			t.Error("what is public is refused")
		}
	}
}

func BenchmarkStory(b *testing.B) {
	var a stories
	b.ReportAllocs()
	for b.Loop() {
		s := a.begin(b.Context(), KindConnect, "a.example:443")
		s.tried(TryExplained{Phase: phaseCircuit})
		s.asks("c")
		s.tried(TryExplained{Phase: phaseConnect})
		s.opened()
		s.closed(nil)
	}
}

// TestNamesOfOneMachineHaveAStory (product §4.6): what a Dialer refuses for its program is told
// as what the proxy refuses is.
func TestNamesOfOneMachineHaveAStory(t *testing.T) {
	c := &Client{doc: &genesis.Document{}}
	d := c.Dialer("k")
	_, err1 := d.DialContext(t.Context(), "tcp", "printer:631")
	_, err2 := d.LookupNetIP(t.Context(), "ip", "printer.local")
	var f *Failure
	if !errors.As(err1, &f) || !errors.As(err2, &f) {
		t.Fatalf("%v, %v", err1, err2)
	}
	told := map[string]string{}
	for _, e := range c.Streams() {
		if e.State != StreamFailed || e.Reason != "name_not_found" || e.Fix == "" {
			t.Errorf("%+v", e)
		}
		told[e.Target] = e.Kind
	}
	if len(told) != 2 || told["printer:631"] != KindConnect || told["printer.local"] != KindResolve {
		t.Errorf("%v", told)
	}
}

// TestWhatAMachineAsksByItselfPushesNothingOut: the same refusal is one story that counts, those that
// nobody waits for are few beside others, and none of them is the last one.
func TestWhatAMachineAsksByItselfPushesNothingOut(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		c := Client{doc: &genesis.Document{}}
		refuse := func(listener, target string, aside bool) {
			_ = pause(t.Context(), time.Second)
			c.Refused(WithListener(t.Context(), listener), Refusal{Kind: KindResolve, Target: target, Reason: "name_not_found", Text: "Not here.", Aside: aside})
		}
		count := func() (asides, others int) {
			for _, e := range c.Streams() {
				if e.Listener == "dns" {
					asides++
				} else {
					others++
				}
			}
			return asides, others
		}
		for i := range maxKeptStories - 10 {
			refuse("main", fmt.Sprintf("own%d.local", i), false)
		}
		for range 3 * maxKeptStories {
			refuse("dns", "wpad.local", true)
		}
		if asides, others := count(); asides != 1 || others != maxKeptStories-10 {
			t.Errorf("%d and %d are kept", asides, others)
		}
		e := c.Streams()[0]
		if e.Target != "wpad.local" || e.Times != 3*maxKeptStories || time.Since(e.Began) > time.Second || e.Ended != e.Began || len(e.Tries) != 1 {
			t.Errorf("%+v", e)
		}
		if same, ok := c.Stream(e.ID); !ok || same.Times != e.Times {
			t.Error("it cannot be asked for by its number")
		}
		if last, ok := c.Stream(LastStream); !ok || last.Listener != "main" || last.Target != fmt.Sprintf("own%d.local", maxKeptStories-11) {
			t.Errorf("the last one: %v %s", ok, last.Target)
		}
		for i := range 4 * maxKeptStories {
			refuse("dns", fmt.Sprintf("host%d.local", i), true)
		}
		if asides, others := count(); asides != maxAsides || others != maxKeptStories-maxAsides {
			t.Errorf("of many names %d and %d are kept", asides, others)
		}
		refuse("main", "own0.local", false) // it was pushed out, and is one more
		refuse("main", "own150.local", false)
		if last, _ := c.Stream(LastStream); last.Target != "own150.local" || last.Times != 2 {
			t.Errorf("the last one: %s, %d times", last.Target, last.Times)
		}
		refuse("other", "own150.local", false)
		if last, _ := c.Stream(LastStream); last.Listener != "other" || last.Times != 1 {
			t.Errorf("at another listener: %d times", last.Times)
		}
		for i := range maxKeptStories {
			refuse("main", fmt.Sprintf("more%d.local", i), false)
		}
		if asides, others := count(); asides+others != maxKeptStories {
			t.Errorf("%d are kept", asides+others)
		}
	})
}
