// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"chive/internal/config"
	"chive/internal/control"
	"chive/internal/node"
)

// TestStatusTranscript: what a person reads of a client with an old list and of a relay
// in trouble.
func TestStatusTranscript(t *testing.T) {
	now := time.Date(2026, 11, 24, 19, 0, 0, 0, time.UTC)
	young := control.Note{Level: control.LevelWarning, Code: "young", Text: "This network is young: its relay list is agreed by 7 relays in 3 networks, and 4 of them acting together decide what is on it."}
	list := control.Directory{
		Epoch: 10, EpochTime: now.Add(-9 * time.Hour), CurrentEpoch: 19, Freshness: "The list is 9 epochs old.", Fetched: now.Add(-5 * time.Minute),
		NextFetch: now.Add(90 * time.Second), Relays: 8, Running: 7, Guards: 7, Exits: 1,
		Committee: control.Committee{Members: 7, Majority: 4, Quorum: 5, Networks: 3}, Notes: []control.Note{young},
	}
	s := &control.Status{
		Time: now, Network: control.Network{Name: "demo", ID: strings.Repeat("ab", 32), EpochSeconds: 3600},
		Client: &control.Client{
			State: "stale", Percent: 100, Clock: "This clock is 2 h fast.", Directory: list,
			Guards: []control.Guard{{RID: strings.Repeat("01", 16), Nickname: "oak", State: "in use", Until: now, Why: "drawn by weight."}},
			Circuits: []control.Circuit{{Opened: now.Add(-65 * time.Second), InUse: true, Streams: 1, Epoch: 10, Hops: []control.Hop{
				{RID: strings.Repeat("01", 16), Position: "guard", Why: "guard 1 of 3"}, {RID: strings.Repeat("02", 16), Position: "last", Why: "drawn first"},
			}}, {Opened: now.Add(-65 * time.Second), InUse: true, Epoch: 10}, {Opened: now.Add(-65 * time.Second), Epoch: 10}},
		},
		Relays: []control.Relay{{
			RID: strings.Repeat("03", 16), Nickname: "maple", Listen: "0.0.0.0:9240", Published: []string{"192.0.2.1:9240", "[2001:db8::1]:9240"}, Exit: "off",
			Listed: true, Seat: true, Abstains: "its clock is off", AgeDays: 1, Neighbours: 6, Store: "The disk is full.", StoreFix: "Make room.", Directory: list,
			Reports: []control.Note{{Time: now, Text: "two relays were seen to cheat"}}, Traffic: control.Traffic{Circuits: 2, Created: 3, Forwarded: 5 << 20},
		}},
	}
	seen := &s.Relays[0].Directory.Committee
	seen.Reached, seen.Signed, seen.Signers = 6, 5, 7
	for i := range 7 {
		m := control.Seat{RID: strings.Repeat("1"+string(rune('0'+i)), 16), Stream: i > 0, Self: i == 0, Signer: true, Signed: i < 5, Running: i < 6}
		seen.Seats = append(seen.Seats, m)
	}
	seen.Seats[6].Stream = false
	s.Relays[0].Reachable = &control.Reachable{State: "no", Text: "Other relays do not reach it: check the port."}
	s.Relays[0].Weight = &control.Weight{Share: 0.125, Why: "It follows from the rate."}
	var out strings.Builder
	printStatus(&out, s)
	want := `network demo, id abababababababab..., an epoch lasts 1 h 0 min

client: working with an old list of relays
  ! This clock is 2 h fast.
  list of relays: epoch 10, which began at 2026-11-24 10:00:00 UTC; now is epoch 19
    The list is 9 epochs old.
    8 relays, 7 running, of these 7 guards and 1 exit
    fetched 5 min 0 s ago; asks again in 1 min 30 s
  committee: 7 relays in 3 networks; 4 must agree to change the list, 5 to sign it
  ! This network is young: its relay list is agreed by 7 relays in 3 networks, and 4 of them acting
    together decide what is on it.
  guards: 1
    1. 010101010101 oak in use, until 2026-11-24 19:00:00 UTC
       drawn by weight.
  circuits: 3
    open for 1 min 5 s, in use, 1 stream, from the list of epoch 10
      guard  010101010101  guard 1 of 3
      last   020202020202  drawn first
    open for 1 min 5 s, no stream now, from the list of epoch 10
    open for 1 min 5 s, not used yet, from the list of epoch 10

relay maple: listens at 0.0.0.0:9240, published as 192.0.2.1:9240 and [2001:db8::1]:9240, exit off
  rid 03030303030303030303030303030303
  others may name it: --peer 03030303030303030303030303030303@192.0.2.1:9240
  others may name it: --peer 03030303030303030303030303030303@[2001:db8::1]:9240
  on the list but not running; 6 neighbours
  ! Other relays do not reach it: check the port.
  12 % of the running relays' rate. It follows from the rate.
  rate: no ceiling; it declares 0 B/s
  a member of the committee that agrees on the list now, but takes no part: its clock is off
  ! store: The disk is full.
    Fix: Make room.
  list of relays: epoch 10, which began at 2026-11-24 10:00:00 UTC; now is epoch 19
    The list is 9 epochs old.
    8 relays, 7 running, of these 7 guards and 1 exit
    fetched 5 min 0 s ago; asks again in 1 min 30 s
  committee: 7 relays in 3 networks; 4 must agree to change the list, 5 to sign it
    this relay reaches 6 of the 7 (itself, if it is one of them, counts); the newest list is signed
    by 5 of 7 (5 are enough, and later ones may not be counted)
    missing: 16161616161616161616161616161616 (not running, as the list says; no stream with it; has not signed the newest list)
  2 circuits open, 3 made, 0 refused; 5 MiB forwarded since the start
  ! 2026-11-24 19:00:00 two relays were seen to cheat
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// TestStatusSaysTheClockOnce: it is what holds the client up, too.
func TestStatusSaysTheClockOnce(t *testing.T) {
	clock := "this clock is 40 min slow. Set the clock."
	for _, c := range []control.Client{{State: "cold", Text: clock, Clock: clock}, {State: "refused", Text: clock, Clock: clock, Percent: 100}, {State: "ready", Clock: clock, Percent: 100}} {
		var out strings.Builder
		printClientState(&out, &control.Status{Client: &c}, &c, map[string]bool{})
		if n := strings.Count(out.String(), clock); n != 1 || c.State == "refused" && !strings.Contains(out.String(), "client: stopped: this machine's clock is wrong") {
			t.Errorf("%s: %d times in\n%s", c.State, n, out.String())
		}
	}
}

// TestStatusNamesPeersThatDoNotWork, to who has named them and not to a log.
func TestStatusNamesPeersThatDoNotWork(t *testing.T) {
	good := control.Peer{RID: strings.Repeat("01", 16), Addresses: []string{"192.0.2.1:9240"}, State: "reached"}
	bad := control.Peer{RID: strings.Repeat("02", 16), Addresses: []string{"192.0.2.2:9240", "[2001:db8::2]:9240"}, State: "refused", Text: "does not accept connections: nobody listens. Ask"}
	s := &control.Status{Client: &control.Client{Peers: []control.Peer{good, bad}}, Relays: []control.Relay{{Peers: []control.Peer{bad}}}}
	var all, log strings.Builder
	printStatus(&all, s)
	printClientState(&log, s, s.Client, map[string]bool{})
	text := strings.Join(strings.Fields(all.String()), " ")
	if n := strings.Count(text, "! --peer "+bad.RID+"@192.0.2.2:9240, [2001:db8::2]:9240 does not accept connections: nobody listens. Ask."); n != 2 || strings.Contains(text, good.RID) {
		t.Errorf("%d times in\n%s", n, all.String())
	}
	if strings.Contains(log.String(), "192.0.2.2") || strings.Contains(log.String(), bad.RID) {
		t.Errorf("in a log:\n%s", log.String())
	}
	d := &doctor{}
	d.peersOf(s.Client.Peers)
	if len(d.found) != 1 || d.found[0].Level != levelWarning || !strings.Contains(d.found[0].Text, bad.RID) || d.found[0].Fix != "Ask." {
		t.Errorf("the doctor: %+v", d.found)
	}
}

// TestStatusOfACommitteeInTrouble: whom a report is about, everybody who has no stream
// while the network stands still, the figures of the committee that has signed, which of
// the two it is, and that a member is shut out, and until when.
func TestStatusOfACommitteeInTrouble(t *testing.T) {
	now := time.Date(2026, 11, 24, 19, 0, 0, 0, time.UTC)
	one := func(change func(r *control.Relay)) string {
		r := control.Relay{
			RID: strings.Repeat("03", 16), Listed: true, Running: true, Directory: control.Directory{
				Epoch: 10, CurrentEpoch: 19, Stalled: true, DirRoot: strings.Repeat("cd", 32),
				Committee: control.Committee{Name: "B", Members: 3, Majority: 2, Quorum: 7, Signed: 2, Signers: 5, SignedBy: "A", SignersNeeded: 4, Seats: []control.Seat{
					{RID: strings.Repeat("03", 16), Self: true, Running: true, Signer: true, Signed: true},
					{RID: strings.Repeat("04", 16), Stream: true, Running: true, Signer: true, Signed: true},
					{RID: strings.Repeat("05", 16), Running: true, Signer: true, Signed: true},
				}},
			},
		}
		change(&r)
		var out strings.Builder
		printStatus(&out, &control.Status{Time: now, Network: control.Network{EpochSeconds: 3600}, Relays: []control.Relay{r}})
		return strings.Join(strings.Fields(out.String()), " ")
	}
	shut := func(r *control.Relay) { r.Penalty, r.Abstains = now, "it is shut out until 2026-11-24" }
	for name, c := range map[string]struct {
		change     func(r *control.Relay)
		want, lack string
	}{
		"a rate that binds": {func(r *control.Relay) {
			r.Rate, r.Declared, r.RateUse = 2<<20, 1<<20, &control.RateUse{Binds: true, Text: "It binds"}
		}, "rate: at most 2 MiB/s each way; it declares 1 MiB/s ! It binds", ""},
		"an exit's rules":    {func(r *control.Relay) { r.Exit, r.Permits = "custom", "tcp 22, 443; udp 53" }, "exit permits: tcp 22, 443; udp 53", ""},
		"a router":           {func(r *control.Relay) { r.Forwarded = "The router forwards 1.2.3.4:9240 to this machine (UPnP)." }, "The router forwards 1.2.3.4:9240", ""},
		"no exit":            {func(r *control.Relay) {}, "", "permits"},
		"no rate":            {func(r *control.Relay) {}, "rate: no ceiling; it declares 0 B/s", "It binds"},
		"little memory":      {func(r *control.Relay) { r.Memory = &control.Memory{Used: 208 << 10, Max: 1 << 30, Process: 43 << 20} }, "memory: 208 KiB of 1 GiB for circuits, queues, buffers and lists; the process has 43 MiB in all", ""},
		"a voucher is left":  {func(r *control.Relay) { r.Vouching = &control.Vouching{May: true, GapDays: 30, Left: 1} }, "vouchers: 1 left, ", "none left"},
		"no voucher is left": {func(r *control.Relay) { r.Vouching = &control.Vouching{GapDays: 30, FromDay: 9, FromTime: now} }, "vouchers: none left until 2026-11-24 19:00:00 UTC", "1 left"},
		"too young to vouch": {func(r *control.Relay) { r.Vouching = &control.Vouching{GapDays: 30, Text: "it has served for 3 days"} }, "", "vouchers:"},
		"whom a report is about": {func(r *control.Relay) {
			r.Reports = []control.Note{{Time: now, Text: "there is proof", RID: strings.Repeat("06", 16)}}
		}, "there is proof: relay 06060606060606060606060606060606", ""},
		"a report about nobody":   {func(r *control.Relay) { r.Reports = []control.Note{{Time: now, Text: "there is proof"}} }, "there is proof", ": relay"},
		"who signed and is away":  {func(*control.Relay) {}, "missing: 05050505050505050505050505050505 (no stream with it)", "missing: 0404"},
		"who is there and silent": {func(r *control.Relay) { r.Directory.Committee.Seats[1].Signed = false }, "not signed: 04040404040404040404040404040404 (reached;", "missing: 0404"},
		"who had nothing to sign": {func(r *control.Relay) {
			r.Directory.Committee.Seats[1].Signed, r.Directory.Committee.Seats[1].Signer = false, false
		}, "missing: 0505", "not signed:"},
		"who is away, of whom nothing is known": {func(r *control.Relay) {
			r.Directory.Stalled = false
			r.Directory.Committee.Seats[2].Signed, r.Directory.Committee.Seats[2].Signer = false, false
		}, "this relay reaches", "missing:"},
		"who signed is not silent":    {func(*control.Relay) {}, "missing: 0505", "not signed:"},
		"nothing stalls, one is late": {func(r *control.Relay) { r.Directory.Committee.Seats[1].Signed, r.Directory.Stalled = false, false }, "this relay reaches", "not signed:"},
		"it does not stall":           {func(r *control.Relay) { r.Directory.Stalled = false }, "this relay reaches", "missing:"},
		"so many that none has streams with all": {func(r *control.Relay) {
			r.Directory.Stalled, r.Directory.Running, r.Directory.Committee.Seats[2].Signed = false, 24, false
		}, "with its neighbours alone, of 24 relays", "missing:"},
		"so many, and it stalls":       {func(r *control.Relay) { r.Directory.Running = 24 }, "missing: 0505", ""},
		"a newcomer":                   {func(r *control.Relay) { r.Listed, r.Joining = false, "3 of 3 relays introduce it" }, "not on the list; neighbours come with its place there", "0 neighbours"},
		"a newcomer with guests":       {func(r *control.Relay) { r.Listed, r.Neighbours = false, 1 }, "not on the list; 1 neighbour", "come with"},
		"who has signed":               {func(*control.Relay) {}, "signed by 2 of 5 of committee A (4 are enough", "(7 are enough"},
		"which committee":              {func(*control.Relay) {}, "it is committee B, which agrees on each fifth epoch", ""},
		"the other":                    {func(r *control.Relay) { r.Directory.Committee.Name = "A" }, "it is committee A; B, drawn apart", ""},
		"a member":                     {func(r *control.Relay) { r.Seat = true }, "agrees on the list now (B); it takes part", ""},
		"a member of the other":        {func(r *control.Relay) { r.SeatIn = []string{"A"} }, "now (B); it is one of A", ""},
		"shut out":                     {shut, "! it takes no part in the committee: it is shut out until 2026-11-24", "no member"},
		"another one that is shut out": {func(r *control.Relay) { r.Directory.Committee.Seats[1].Penalty = now }, "(shut out until 2026-11-24 19:00:00 UTC for two signatures)", ""},
		"the list's digest":            {func(*control.Relay) {}, "digest cdcdcdcdcdcdcdcd: the same", ""},
	} {
		if got := one(c.change); !strings.Contains(got, c.want) || c.lack != "" && strings.Contains(got, c.lack) {
			t.Errorf("%s: want %q, not %q, in\n%s", name, c.want, c.lack, got)
		}
	}
	d := &doctor{status: &control.Status{Relays: []control.Relay{{Listed: true, Running: true}}}}
	shut(&d.status.Relays[0])
	d.checkRelays()
	if !slices.Contains(codes(d.found), "warning penalty") {
		t.Errorf("doctor finds %v", codes(d.found))
	}
}

// TestWhoIsAsked: the session's socket when the state is where it usually is, else the
// one beside the state that was named, so that both sides find the same without a flag.
func TestWhoIsAsked(t *testing.T) {
	for _, c := range []struct {
		args []string
		env  config.Environment
		want string
	}{
		{nil, config.Environment{StateDir: "/h/chive", RuntimeDir: "/run/chive"}, "unix:/run/chive/control.sock"},
		{nil, config.Environment{StateDir: "/h/chive"}, "unix:/h/chive/control.sock"},
		{[]string{"--state", "r1"}, config.Environment{StateDir: "/h/chive", RuntimeDir: "/run/chive"}, "unix:r1/control.sock"},
		{[]string{"--state", "r1", "--control", "unix:c"}, config.Environment{RuntimeDir: "/run/chive"}, "unix:c"},
	} {
		a := &app{env: c.env}
		if err := a.root().ParseFlags(c.args); err != nil {
			t.Fatal(err)
		}
		s, err := a.controlSocket()
		if err != nil || strings.ReplaceAll(s.Name(), `\`, "/") != c.want {
			t.Errorf("%v: %q, %v; want %q", c.args, s.Name(), err, c.want)
		}
	}
	for err, code := range map[error]string{control.ErrNobody: "no_daemon", control.ErrForbidden: "control_forbidden", control.ErrAnswer: "control_answer"} {
		f := new(app).statusFault(node.ControlSocket{Path: "s"}, errors.Join(err))
		if f.Kind != node.Unreachable || f.Code != code || f.Fix == "" || !strings.Contains(f.Text, "unix:s") {
			t.Errorf("%v: %+v", err, f)
		}
	}
}

// TestNotesOfADaemon: for a person, for a program, and not at all.
func TestNotesOfADaemon(t *testing.T) {
	for _, c := range []struct {
		g    global
		want string
	}{
		{global{}, "Note: the disk is full\n"},
		{global{json: true}, `{"schema":"chive.note/1","text":"the disk is full"}` + "\n"},
		{global{quiet: true}, ""},
	} {
		var out bytes.Buffer
		(&app{err: &out, global: c.g}).tell("the disk is full")
		if out.String() != c.want {
			t.Errorf("got %q, want %q", out.String(), c.want)
		}
	}
}

// TestManyRelaysHaveALineEach: a testnet's status fits a screen, and what is wrong with
// one of its relays is said below.
func TestManyRelaysHaveALineEach(t *testing.T) {
	s := &control.Status{Network: control.Network{Name: "testnet", Testnet: true, ID: strings.Repeat("ab", 32), EpochSeconds: 10}}
	for i, r := range []control.Relay{
		{Listed: true, Running: true, Seat: true, Neighbours: 3, Exit: "off"},
		{Listed: true, Seat: true, Abstains: "its clock is off", Exit: "custom"},
		{Joining: "it asks three relays to introduce it", Exit: "off"},
		{Listed: true, Running: true, Penalty: time.Unix(1, 0), Abstains: "it is shut out", Exit: "off"},
	} {
		r.Name, r.RID = "relay "+string(rune('1'+i)), strings.Repeat("0"+string(rune('1'+i)), 16)
		r.Directory.Epoch = 5
		s.Relays = append(s.Relays, r)
	}
	var out strings.Builder
	printStatus(&out, s)
	want := `network testnet (testnet), id abababababababab..., an epoch lasts 10 s

relays   rid           list     stands           committee  neighbours  circuits  exit
relay 1  010101010101  epoch 5  running          member     3           0         off
relay 2  020202020202  epoch 5  not running      abstains   0           0         custom
relay 3  030303030303  epoch 5  not on the list  -          0           0         off
relay 4  040404040404  epoch 5  running          shut out   0           0         off
  ! relay 2: its clock is off
  ! relay 3: it asks three relays to introduce it
  ! relay 4: it is shut out
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// TestATestnetsDayIsSaid: ages there are in days of minutes.
func TestATestnetsDayIsSaid(t *testing.T) {
	for seconds, want := range map[float64]string{0: "", 86400: "", 60: ", and a day of its ages 1 min 0 s"} {
		if got := shortDay(seconds); got != want {
			t.Errorf("%v: %q", seconds, got)
		}
	}
}

// TestTheListOfRelaysForAPerson: names in full, and how many were left out.
func TestTheListOfRelaysForAPerson(t *testing.T) {
	l := &control.Relays{Epoch: 9, Day: 60, Left: 2, Relays: []control.ListedRelay{
		{RID: strings.Repeat("01", 16), Nickname: "maple", Addresses: []string{"192.0.2.1:9240"}, Running: true, Flags: []string{"guard", "founder"}, Exit: "off", AgeDays: 3, Rate: 1_000_000, Share: 0.5},
		{RID: strings.Repeat("02", 16), Addresses: []string{"192.0.2.2:9240"}, Flags: []string{"exit"}, Exit: "tcp 80", AgeDays: 1,
			Penalty: time.Date(2027, 2, 1, 0, 0, 0, 0, time.UTC)},
	}}
	var out strings.Builder
	printList(&out, l)
	want := `list of relays of epoch 9: 4 relays, and a day of its ages 1 min 0 s
A rate is the list's step at or below what the relay declares: up to 16 % less.

rid                               name   addresses       running  age     rate       share  exit    flags
01010101010101010101010101010101  maple  192.0.2.1:9240  yes      3 days  977 KiB/s  50 %   off     guard,founder
02020202020202020202020202020202  -      192.0.2.2:9240  no       1 day   0 B/s      0 %    tcp 80  exit shut out of the committee until 2027-02-01 00:00:00 UTC
and 2 more
`
	if out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}

// served is a daemon that answers with a status, at a control socket.
type served struct{ s *control.Status }

func (s served) Status() *control.Status { return s.s }

// TestStatusSaysThatThereIsLittleRoom (CLI-11), before something cannot be written.
func TestStatusSaysThatThereIsLittleRoom(t *testing.T) {
	var out bytes.Buffer
	s := &control.Status{Network: control.Network{EpochSeconds: 3600}, Disk: "The disk of the state folder has 3 MiB left"}
	printStatus(&out, s)
	if want := "  ! disk: The disk of the state folder has 3 MiB left. " + control.FixDisk; !strings.Contains(strings.Join(strings.Fields(out.String()), " "), strings.TrimSpace(want)) {
		t.Errorf("%s", out.String())
	}
}

// TestHealthPrintsTroubles: behind the answer, each with what to do (CLI-6).
func TestHealthPrintsTroubles(t *testing.T) {
	dir, err := os.MkdirTemp("", "health") // short: a socket's path is bounded
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- control.Serve(ctx, l, served{&control.Status{Relays: []control.Relay{{
			Published: []string{"192.0.2.1:9240"}, Store: "the disk is full; traffic goes on", StoreFix: "Make room.",
		}}}})
	}()
	defer func() { stop(); <-ended }()
	got := runConfig(t, "", nil, "health", "--control", "unix:"+path)
	if want := "ready\n  ! store: The disk is full; traffic goes on.\n    Fix: Make room.\n"; got.out != want || got.code != 0 {
		t.Errorf("%+v", got)
	}
	if got = runConfig(t, "", nil, "health", "--control", "unix:"+path, "--json"); !strings.Contains(got.out, `"troubles":[{"code":"store","text":"The disk is full; traffic goes on.","fix":"Make room."}]`) {
		t.Errorf("%+v", got)
	}
	if got = runConfig(t, "", nil, "health", "--alive", "--control", "unix:"+path); got.out != "alive\n" {
		t.Errorf("%+v", got)
	}
}
