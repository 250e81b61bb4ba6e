// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"chive/client"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/internal/control"
	"chive/internal/store"
	"chive/internal/testutil"
	"chive/relay"
)

func publicDocument() *genesis.Document {
	return &genesis.Document{Name: "demo", Time: testStart, Params: genesis.Public()}
}

// TestNotesSayWhatAListIsWorth: the words of directory §6 and §12, and nothing that must
// never be claimed.
func TestNotesSayWhatAListIsWorth(t *testing.T) {
	committee := control.Committee{Members: 7, Majority: 4, Quorum: 5, Networks: 3}
	for _, c := range []struct {
		d    control.Directory
		code string
		want []string
	}{
		{control.Directory{Young: true, Committee: committee}, "young", []string{
			"This network is young: its relay list is agreed by 7 relays in 3 networks, and 4 of them acting together decide what is on it. Do not rely on it for protection."}},
		{control.Directory{Young: true}, "young", []string{"This network is young", "Do not rely on it for protection."}},
		{control.Directory{Unmeasured: true}, "unmeasured", []string{"Nobody measures"}},
		{control.Directory{Stalled: true, Epoch: 10, CurrentEpoch: 16, Committee: committee}, "stalled", []string{"for 6 epochs", "72 epochs (3 days)", "5 of 7"}},
		{control.Directory{Forked: true}, "forked", []string{"another history"}},
		{control.Directory{Alarm: &control.Alarm{Kind: "split_view", Text: "Two lists."}}, "split_view", []string{"Two lists."}},
	} {
		notes := directoryNotes(publicDocument(), &c.d, false)
		if len(notes) != 1 || notes[0].Code != c.code || notes[0].Level == control.LevelInfo {
			t.Errorf("%s: %+v", c.code, notes)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(notes[0].Text, want) {
				t.Errorf("%s: %q lacks %q", c.code, notes[0].Text, want)
			}
		}
	}
	if notes := directoryNotes(publicDocument(), &control.Directory{}, false); len(notes) != 0 {
		t.Errorf("a good list has notes: %+v", notes)
	}
	doc := publicDocument()
	doc.Testnet = true
	notes := directoryNotes(doc, &control.Directory{Young: true, Unmeasured: true}, false)
	if len(notes) != 3 || notes[0].Code != "testnet" || slices.ContainsFunc(notes, func(n control.Note) bool { return n.Level != control.LevelInfo }) {
		t.Errorf("a testnet: %+v", notes)
	}
	all := directoryNotes(publicDocument(), &control.Directory{Young: true, Unmeasured: true, Stalled: true, Forked: true}, false)
	for _, n := range append(all, control.Note{Text: staleText(doc, &control.Directory{CurrentEpoch: 9})}, control.Note{Text: refusedText(doc, &control.Directory{CurrentEpoch: 99})}) {
		for _, never := range []string{"Sybil-proof", "trustless", "untraceable", "unbreakable", "flood-proof", "decentralised"} {
			if strings.Contains(strings.ToLower(n.Text), strings.ToLower(never)) {
				t.Errorf("%q claims %s", n.Text, never)
			}
		}
	}
}

// Spec: directory §8 (CHAIN).
func TestAnOldListIsWarnedOfBeyondWarn(t *testing.T) {
	doc := publicDocument()
	for age, want := range map[uint64]string{
		9: "Circuits are still built", 24: "Circuits are still built", 25: "in 48 epochs (2 days)", 72: "in 1 epoch (60 minutes)",
	} {
		s := client.Status{State: client.StateStale, Epoch: 100, Current: 100 + age}
		notes := clientPart(doc, s).Directory.Notes
		last := notes[len(notes)-1]
		if last.Code != noteStale || last.Level != control.LevelWarning || !strings.Contains(last.Text, want) ||
			strings.Contains(last.Text, "24 epochs (24 hours)") != (age > 24) {
			t.Errorf("%d epochs: %+v", age, last)
		}
	}
}

func TestClientStatusIsShownWhole(t *testing.T) {
	s := client.Status{
		Bootstrap: client.Progress{Percent: 100, Tag: "done"}, State: client.StateStale, Epoch: 10, Current: 20, Text: "asking again", Clock: "2 h fast",
		Freshness: "old", Fetched: testStart.Add(time.Hour), Unmeasured: true,
		Alarm:    &client.Alarm{Kind: "split_view", Epoch: 9, Ours: [32]byte{1}, Theirs: [32]byte{2}, Text: "two"},
		Guards:   []client.GuardExplained{{State: "in use", Why: "drawn"}},
		Circuits: []client.CircuitExplained{{InUse: true, Streams: 2, Hops: []client.HopExplained{{Position: "guard", Why: "first"}}}},
		Relays:   client.RelayCounts{Listed: 9, Running: 8, Guards: 7, Exits: 6},
	}
	s.Committee.K, s.Committee.M, s.Committee.Q, s.Committee.Groups, s.Committee.Young = 7, 4, 5, 3, true
	s.DirRoot = [32]byte{0xab, 0xcd}
	c := clientPart(publicDocument(), s)
	if root := c.Directory.DirRoot; len(root) != 64 || !strings.HasPrefix(root, "abcd00") {
		t.Errorf("the list's digest is %q", root)
	}
	d := c.Directory
	if c.State != "stale" || c.Text != "asking again" || c.Clock != "2 h fast" || d.Epoch != 10 || d.CurrentEpoch != 20 || d.Running != 8 || d.Exits != 6 ||
		!reflect.DeepEqual(d.Committee, control.Committee{Members: 7, Majority: 4, Quorum: 5, Networks: 3}) || !d.EpochTime.Equal(testStart.Add(10*time.Hour)) {
		t.Errorf("%+v", c)
	}
	if len(c.Guards) != 1 || c.Guards[0].Why != "drawn" || len(c.Circuits) != 1 || c.Circuits[0].Streams != 2 || c.Circuits[0].Hops[0].Why != "first" {
		t.Errorf("%+v", c)
	}
	if d.Alarm == nil || !strings.HasPrefix(d.Alarm.Ours, "01") || !strings.HasPrefix(d.Alarm.Theirs, "02") {
		t.Errorf("%+v", d.Alarm)
	}
	var codes []string
	for _, n := range d.Notes {
		codes = append(codes, n.Code)
	}
	if !slices.Equal(codes, []string{"split_view", "young", "unmeasured", "clock_skew"}) {
		t.Errorf("notes %v", codes)
	}
}

// TestThatNoExitIsLeftIsAWarning (CLI-6): a client that is ready and finds no exit says so in a
// note with a word for programs.
func TestThatNoExitIsLeftIsAWarning(t *testing.T) {
	for _, said := range []string{"", "No exit runs."} {
		notes := clientPart(publicDocument(), client.Status{State: client.StateReady, NoExit: said}).Directory.Notes
		i := slices.IndexFunc(notes, func(n control.Note) bool { return n.Code == "no_exit" })
		if (i >= 0) != (said != "") || i >= 0 && (notes[i].Level != control.LevelWarning || notes[i].Text != said) {
			t.Errorf("%q: %+v", said, notes)
		}
	}
}

func TestARelaysListInWords(t *testing.T) {
	for _, c := range []struct {
		epoch, current uint64
		want           string
	}{
		{0, 0, "the one that the network began with"},
		{7, 8, "this epoch or the one before: fresh"},
		{7, 10, "3 epochs old, which happens: fresh"},
		{7, 20, "13 epochs old: stale"},
		{7, 100, "93 epochs old: clients refuse it"},
		{9, 8, "fresh"}, // its clock is behind
	} {
		d := newDirectory(publicDocument(), c.epoch, c.current)
		if got := newestText(publicDocument(), &d); !strings.Contains(got, c.want) {
			t.Errorf("%d at %d: %q, want %q", c.epoch, c.current, got, c.want)
		}
	}
}

// TestTroubleIsToldOnceAnHour: what lasts again, what is merely so once, reports when
// they are new, and what is well again when it comes back.
func TestTroubleIsToldOnceAnHour(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		var now control.Relay
		listed := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		look := func() control.Relay {
			mu.Lock()
			defer mu.Unlock()
			return now
		}
		tell := func(text string) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, text)
		}
		go func() {
			defer close(done)
			watchRelay(ctx, look, listed, tell)
		}()
		become := func(r control.Relay) {
			mu.Lock()
			defer mu.Unlock()
			now = r
		}
		expect := func(after time.Duration, want ...string) {
			t.Helper()
			wait := time.NewTimer(after)
			<-wait.C
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				t.Errorf("told %q, want %q", told, want)
			}
			told = nil
		}
		notes := []control.Note{
			{Level: control.LevelInfo, Code: "testnet", Text: "testnet"}, {Level: control.LevelWarning, Code: "young", Text: "young"},
			{Level: control.LevelAlarm, Code: "forked", Text: "forked"},
		}
		become(control.Relay{Store: "disk full", Directory: control.Directory{Notes: notes}})
		expect(lookEvery+time.Second, "young", "forked", "disk full")
		expect(tellAgain / 2)
		expect(tellAgain/2, "forked", "disk full")
		become(control.Relay{})
		expect(lookEvery, "The relay can keep its directory's memory again: what was wrong with its disk or file is over. chive status says whether it takes part in the committee.")
		become(control.Relay{Store: "disk full", Reports: []control.Note{{Text: "seen", Time: time.Now()}}})
		expect(lookEvery, "disk full", "seen")
		expect(lookEvery)
		become(control.Relay{Store: "disk full", Reports: []control.Note{{Text: "seen", Time: time.Now()}}})
		expect(lookEvery, "seen")
		close(listed)
		expect(time.Second, "This relay is on the network's list now. Clients use it more and more as it grows older; chive status shows how it stands.")
		stop()
		<-done
	})
}

// TestWhatStopsARelayHasWords: each cause with its code and what to do.
func TestWhatStopsARelayHasWords(t *testing.T) {
	full := &fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}
	own := fault(Usage, "key_damaged", "Restore it.", "The key file is damaged")
	for _, c := range []struct {
		err  error
		code string
	}{
		{errors.Join(relay.ErrListen, syscall.EADDRINUSE), "port_in_use"},
		{errors.Join(relay.ErrKeys, own), "key_damaged"},
		{errors.Join(relay.ErrStore, full), "disk_full"},
		{errors.Join(relay.ErrStore, syscall.EIO), "file_failed"},
		{errors.New("relay: something else"), "relay_failed"},
	} {
		wantFault(t, relayFault(c.err, "127.0.0.1:1", "/state/relay/directory.db"), c.code)
	}
	if err := relayFault(nil, "", ""); err != nil {
		t.Error(err)
	}
	wantFault(t, tableFault("/t", errors.Join(store.ErrTable, full)), "disk_full")
	wantFault(t, tableFault("/t", store.ErrTableHeld), "directory_held")
	if note := clockNote(publicDocument(), testStart.AddDate(-6, 0, 0)); !strings.Contains(note, "the clock is at least 2192 days slow. Set it") || !strings.Contains(note, "2020-01-01") {
		t.Errorf("note %q", note)
	}
	for _, good := range []time.Time{testStart, testStart.Add(-time.Minute), testStart.AddDate(5, 0, 0)} {
		if note := clockNote(publicDocument(), good); note != "" {
			t.Errorf("%v: %q", good, note)
		}
	}
	if note := joinNote(publicDocument()); !strings.Contains(note, "3 relays to introduce it") || !strings.Contains(note, "days") {
		t.Errorf("note %q", note)
	}
	if long := software(strings.Repeat("1", 99)); len(long) != 32 || software("") != "" {
		t.Errorf("software %q", long)
	}
}

// TestARelayClaimsNoMoreThanItKnows: whether no list was agreed, or it was not told of
// one, follows from how many members it reaches.
func TestARelayClaimsNoMoreThanItKnows(t *testing.T) {
	for _, c := range []struct {
		reached     int
		want, never string
	}{
		{0, "This relay has received no new list for 5 epochs. Either none was agreed", "No new list"},
		{4, "it reaches 4 of them", "No new list"},
		{5, "No new list of relays was agreed for 5 epochs, though this relay reaches 5 of the 7", "Either"},
	} {
		d := newDirectory(publicDocument(), 10, 15)
		d.Stalled, d.Committee = true, control.Committee{Members: 7, Majority: 4, Quorum: 5, Networks: 3, Reached: c.reached}
		notes := directoryNotes(publicDocument(), &d, true)
		if len(notes) != 1 || !strings.Contains(notes[0].Text, c.want) || strings.Contains(notes[0].Text, c.never) || !strings.Contains(notes[0].Text, "72 epochs (3 days)") {
			t.Errorf("%d: %+v", c.reached, notes)
		}
		if text := newestText(publicDocument(), &d); strings.Contains(text, "fresh") || strings.Contains(text, "stale") || !strings.Contains(text, "no newer one has come") {
			t.Errorf("%q beside a stalled list", text)
		}
	}
	// A testnet calls a list fresh for longer than it takes to be stalled.
	doc := &genesis.Document{Testnet: true, Time: testStart, Params: genesis.Testnet()}
	d := newDirectory(doc, 10, 15)
	d.Stalled = true
	if text := newestText(doc, &d); strings.Contains(text, "fresh") {
		t.Errorf("%q", text)
	}
	s := client.Status{State: client.StateReady, Epoch: 10, Current: 15, Stalled: true, Freshness: "old: fresh."}
	if text := clientPart(doc, s).Directory.Freshness; strings.Contains(text, "fresh") {
		t.Errorf("a client: %q", text)
	}
}

// TestAWrongClockIsSaidWhicheverWay: whichever way it is off, and lists are then of no age that
// could be told.
func TestAWrongClockIsSaidWhicheverWay(t *testing.T) {
	doc := publicDocument()
	slow := newDirectory(doc, 100, 40) // this clock is 60 epochs behind the list
	if text := newestText(doc, &slow); strings.Contains(text, "old") || behind(&slow) != "0 epochs" {
		t.Errorf("a slow clock: %q, %q", text, behind(&slow))
	}
	fast := newDirectory(doc, 100, 300)
	if text := newestText(doc, &fast); !strings.Contains(text, "200 epochs old: clients refuse it") {
		t.Errorf("a fast clock: %q", text)
	}
	fast.Stalled = true
	if text := stalledText(doc, &fast, true); !strings.Contains(text, "clock") || strings.HasPrefix(text, "No new list") {
		t.Errorf("a relay with a fast clock and nobody in reach: %q", text)
	}
	if text := refusedText(doc, &fast); !strings.Contains(text, "Check the clock") {
		t.Errorf("%q", text)
	}
	c := clientPart(doc, client.Status{State: client.StateCold, Clock: "this clock is at least 2 h slow. Set the clock."})
	if c.Clock == "" {
		t.Error("a client's clock is not shown")
	}
	// Nobody is blamed for what a wrong clock calls old.
	for _, state := range []client.State{client.StateStale, client.StateRefused} {
		c := clientPart(doc, client.Status{State: state, Epoch: 100, Current: 300, Clock: "this clock is 2 h slow. Set the clock."})
		i := slices.IndexFunc(c.Directory.Notes, func(n control.Note) bool { return n.Code == noteClock })
		if i < 0 || !strings.Contains(c.Directory.Notes[i].Text, "clock") || c.Clock == "" {
			t.Errorf("%s: %+v", state, c.Directory.Notes)
		}
		if slices.ContainsFunc(c.Directory.Notes, func(n control.Note) bool { return n.Code == noteStale || n.Code == noteRefused }) {
			t.Errorf("%s: %+v", state, c.Directory.Notes)
		}
	}
	// Nor does what relays say of the clock hide that no list comes.
	s := client.Status{State: client.StateStale, Epoch: 100, Current: 300, Stalled: true, Freshness: "it cannot be told", Clock: "this clock is 2 h fast. Set the clock."}
	c = clientPart(doc, s)
	i := slices.IndexFunc(c.Directory.Notes, func(n control.Note) bool { return n.Code == noteStalled })
	if i < 0 || !strings.Contains(c.Directory.Notes[i].Text, "200 epochs old by this machine's clock") || !strings.Contains(c.Directory.Notes[i].Text, "If it is right, no new list was agreed") ||
		!c.Directory.Stalled || c.Directory.Freshness != s.Freshness {
		t.Errorf("%+v", c.Directory)
	}
	if text := clockNote(doc, doc.Time.Add(-90*time.Minute)); !strings.Contains(text, "the clock is at least 90 minutes slow") {
		t.Errorf("before the network: %q", text)
	}
}

// TestTheCommitteeAsARelaySeesIt: who is reached, who has signed, and that a list which
// the other committee signed says nothing about who has no seat there.
func TestTheCommitteeAsARelaySeesIt(t *testing.T) {
	me, near, gone := record.RID{1}, record.RID{2}, record.RID{3}
	c := relay.CommitteeStatus{
		K: 3, M: 2, Q: 3, Members: []relay.MemberStatus{{RID: me, Self: true}, {RID: near, Stream: true, Signer: true, Signed: true}, {RID: gone, Signer: true}},
		Signed: 2, Seats: 3,
	}
	table := snapshot.FromGenesis(&genesis.Document{})
	got := committeePart(c, 2, table)
	if got.Reached != 2 || got.Signed != 2 || got.Signers != 3 || len(got.Seats) != 3 || got.Seats[0].Signer || got.Seats[0].Signed || !got.Seats[1].Signed || !got.Seats[2].Signer || got.Seats[2].Signed || got.Seats[2].Stream || got.Seats[0].Running {
		t.Errorf("%+v", got)
	}
}

// TestWhatARelaySaysOfTheCommitteeIsShownWhole: penalties, names, and whose figures.
func TestWhatARelaySaysOfTheCommitteeIsShownWhole(t *testing.T) {
	shut, end := record.RID{3}, testStart.Add(time.Hour)
	got := committeePart(relay.CommitteeStatus{
		Name: "B", K: 2, M: 2, Q: 2, Members: []relay.MemberStatus{{RID: record.RID{1}, Self: true}, {RID: shut, Stream: true, Penalty: end}},
		Signed: 4, Seats: 5, SignedBy: "A", Needed: 4,
	}, 2, snapshot.FromGenesis(&genesis.Document{}))
	if got.Name != "B" || got.SignedBy != "A" || got.SignersNeeded != 4 || !got.Seats[0].Penalty.IsZero() || !got.Seats[1].Penalty.Equal(end) {
		t.Errorf("%+v", got)
	}
	d := control.Directory{Stalled: true, Epoch: 10, CurrentEpoch: 16, Committee: got}
	if text := stalledText(publicDocument(), &d, true); !strings.Contains(text, about(shut)[:16]+" is shut out, since there is proof") {
		t.Errorf("%q", text)
	}
	if about(record.RID{}) != "" || about(shut) != "03"+strings.Repeat("00", len(shut)-1) {
		t.Errorf("%q, %q", about(record.RID{}), about(shut))
	}
}
