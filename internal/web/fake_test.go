// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"chive/internal/control"
)

// hostile is text that would run if it became markup.
const hostile = `<img src=x onerror="window.ran=1"><script>window.ran=1</script>`

// fake is a daemon with a client and a relay, or with a testnet's relays.
type fake struct {
	hub control.Hub

	mu      sync.Mutex
	status  control.Status
	streams []control.Stream
	done    []string
	asked   int
	bare    bool // it has no settings to show
}

// change changes the daemon's state, and says so.
func (f *fake) change(kind string, how func(f *fake)) {
	f.mu.Lock()
	how(f)
	f.mu.Unlock()
	f.hub.Publish(control.Event{Kind: kind})
}

func (f *fake) Status() *control.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	s := f.status
	if s.Client != nil {
		c := *s.Client
		c.Circuits = slices.Clone(c.Circuits)
		if c.Traffic != nil { // goes on, with ups and downs
			n := uint64(f.asked)
			f.status.Client.Traffic.Down += (n%37)*(n%37)*9_000 + n*n%11*60_000
			f.status.Client.Traffic.Up += n*n%13*9_000 + 30_000
			t := *f.status.Client.Traffic
			c.Traffic = &t
		}
		s.Client = &c
	}
	s.Relays = slices.Clone(s.Relays)
	return &s
}

func (f *fake) Streams() []control.Stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.streams)
}

func (f *fake) Explain(string) (*control.Stream, bool) { return nil, false }

func (f *fake) NewIdentity() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, "newnym")
}

func (f *fake) CloseCircuit(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.done = append(f.done, "close "+id)
	c := f.status.Client
	was := len(c.Circuits)
	c.Circuits = slices.DeleteFunc(slices.Clone(c.Circuits), func(q control.Circuit) bool { return q.ID == id })
	return len(c.Circuits) < was
}

func (f *fake) Settings() []control.Setting {
	if f.bare {
		return nil
	}
	return []control.Setting{
		{Key: "client.socks", Value: `["127.0.0.1:9250"]`, Origin: "default"},
		{Key: "client.circuit_dirtiness", Value: `"10m"`, Origin: "default"},
		{Key: "web.listen", Value: `"127.0.0.1:9251"`, Origin: "default"},
		{Key: "relay.rate", Value: `"1 MiB/s"`, Origin: "/etc/chive/chive.toml:4"},
		{Key: "relay.accounting.max", Value: `"200 GiB"`, Origin: "/etc/chive/chive.toml:7"},
		{Key: "log.level", Value: `"info"`, Origin: "CHIVE_LOG_LEVEL"},
	}
}

func (f *fake) did() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.done, ", ")
}

func rid(n int) string {
	digest := sha256.Sum256([]byte{byte(n)})
	return hex.EncodeToString(digest[:16])
}

func fakeDirectory() control.Directory {
	return control.Directory{
		Epoch: 4711, EpochTime: noon.Add(-40 * time.Minute), CurrentEpoch: 4711, Freshness: "The list is fresh: it is that of the current epoch, 40 minutes old.",
		Fetched: noon.Add(-38 * time.Minute), Checked: noon.Add(-31 * time.Minute), Relays: 212, Running: 187, Guards: 61, Exits: 24,
		Committee: control.Committee{Members: 31, Majority: 16, Quorum: 21, Networks: 27},
		Notes: []control.Note{
			{Level: control.LevelWarning, Code: "young", Text: "This network is young: its relay list is agreed by 31 relays in 27 networks, and 16 of them could change it."},
			{Level: control.LevelInfo, Code: "unmeasured", Text: "Rates are what relays say of themselves: none was measured yet."},
		},
	}
}

var noon = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func fakeCircuit(id, purpose string, streams int, age time.Duration, hops ...int) control.Circuit {
	why := []string{
		"Your first guard: drawn 12 days ago among 61 guards by weight, and kept.",
		"Drawn by weight among 140 relays that share no network and no family with the others.",
		"Drawn by weight among 24 exits whose policy lets example.com:443 through.",
	}
	q := control.Circuit{ID: id, Purpose: purpose, Opened: noon.Add(-age), Took: .412, InUse: streams > 0, Streams: streams, Epoch: 4711}
	for i, n := range hops {
		q.Hops = append(q.Hops, control.Hop{RID: rid(n), Position: []string{"guard", "middle", "last"}[i], Share: []float64{.021, .0078, .053}[i], Why: why[i]})
	}
	return q
}

// newFake is a user's daemon: a client, and a relay that carries others' traffic.
func newFake() *fake {
	d := fakeDirectory()
	f := &fake{}
	f.status = control.Status{
		Time: noon, Version: "0.2.0", Network: control.Network{Name: "chive", ID: strings.Repeat("ab", 32), Began: noon, EpochSeconds: 3600},
		Listeners: []control.Listener{{Kind: "socks", Address: "127.0.0.1:9250"}, {Kind: "dns", Address: "127.0.0.1:9253"}, {Kind: "web", Address: "127.0.0.1:9251"}},
		Client: &control.Client{
			State: "ready", Percent: 100, Tag: "done", Directory: d,
			Guards: []control.Guard{
				{RID: rid(1), Until: noon.AddDate(0, 2, 0), State: "in use", Share: .021, Why: "Drawn by weight among 61 guards; it answered last."},
				{RID: rid(2), Until: noon.AddDate(0, 3, 0), State: "ready", Share: .017, Why: "Drawn by weight; used when the first does not answer."},
			},
			Circuits: []control.Circuit{
				fakeCircuit("c1", "TCP port 443", 3, 7*time.Minute, 1, 11, 21), fakeCircuit("c2", "TCP port 443", 1, 2*time.Minute, 1, 12, 22),
				fakeCircuit("c3", "anything", 0, 40*time.Second, 1, 13, 23),
			},
			Traffic: &control.ClientTraffic{Up: 18 << 20, Down: 341 << 20, Streams: 4},
		},
		Relays: []control.Relay{{
			RID: rid(90), Nickname: "lauch", Listen: "[::]:9240", Published: []string{"203.0.113.5:9240"}, Exit: "off", Directory: d,
			Listed: true, Running: true, AgeDays: 34, Seat: true, Neighbours: 9, Reports: []control.Note{},
			Traffic:   control.Traffic{Circuits: 118, Created: 20418, Refused: 12, Forwarded: 93 << 30},
			Reachable: &control.Reachable{State: "yes", Text: "Reachable at 203.0.113.5:9240 (confirmed by 3 relays)", Checked: noon.Add(-3 * time.Minute)},
			Weight:    &control.Weight{Share: .0043, Why: "It declares 1 MiB/s, was measured at 0.9 MiB/s, and is 34 days old: full weight comes at 70 days."},
			Rate:      1 << 20, Quota: &control.Quota{Period: "month", Used: 168 << 30, Max: 200 << 30, Ends: noon.AddDate(0, 0, 6), Text: "At this rate it lasts for the period."},
			Memory:    &control.Memory{Used: 143 << 20, Max: 512 << 20},
			Forwarded: "The router forwards 203.0.113.5:9240 to this machine (UPnP).",
			RateUse:   &control.RateUse{HeldIn: 41, HeldOut: 75, Text: "Since the start it has held traffic back for 41s coming in and 1m15s going out."},
		}},
	}
	f.streams = []control.Stream{
		{ID: "s9", Kind: "connect", Target: "intranet.example:8443", State: control.StreamFailed, Began: noon.Add(-20 * time.Second), Ended: noon.Add(-8 * time.Second),
			Listener: "127.0.0.1:9250", CircuitID: "c2", Slow: true, Reason: "timeout", Text: "The destination did not answer within 10 s: the last relay could not open the connection in time.",
			Fix: "Try again later. If it works without chive, its host may refuse connections from exits.",
			Tries: []control.Try{
				{Phase: "circuit", Hop: 2, Relay: rid(14), Took: 1.2, Reason: "circuit_failed", Text: "The second relay did not answer; another circuit was taken."},
				{Phase: "circuit", Took: .44}, {Phase: "connect", Hop: 3, Relay: rid(22), Took: 10, Reason: "timeout", Text: "No answer from the destination."},
			}},
		{ID: "s8", Kind: "connect", Target: "example.com:443", State: control.StreamOpen, Began: noon.Add(-70 * time.Second), CircuitID: "c1", Took: .31, FirstByte: .62, Up: 18_000, Down: 2_400_000, Tries: []control.Try{{Phase: "connect", Hop: 3, Relay: rid(21), Took: .31}}},
		{ID: "s7", Kind: "connect", Target: "git.example.org:22", State: control.StreamOpen, Slow: true, Began: noon.Add(-3 * time.Minute), CircuitID: "c1", Took: 12.4, Up: 4_000, Down: 91_000,
			Text: "It is connected, but it took 12.4 s: the circuit had to be built twice.", Tries: []control.Try{{Phase: "circuit", Hop: 1, Took: 11.2, Reason: "timeout", Text: "The guard did not answer."}, {Phase: "connect", Hop: 3, Took: 1.2}}},
		{ID: "s6", Kind: "resolve", Target: "example.net", State: control.StreamOpen, Began: noon.Add(-4 * time.Minute), CircuitID: "c1", Took: .2},
	}
	return f
}

// newTestnet is a testnet's process: a client and its relays.
func newTestnet() *fake {
	f := newFake()
	f.status.Network.Name, f.status.Network.Testnet = "demo", true
	f.status.Relays = nil
	for i := range 12 {
		r := control.Relay{
			RID: rid(i), Name: fmt.Sprintf("relay%d", i), Listen: "127.0.0.1:0", Published: []string{}, Exit: "off", Directory: fakeDirectory(), Listed: true, Running: true,
			Seat: i < 7, Neighbours: 6, Reports: []control.Note{}, Traffic: control.Traffic{Circuits: i, Forwarded: uint64(i) * 31 << 20},
		}
		r.Directory.Notes = []control.Note{}
		switch {
		case i == 4:
			r.Running = false
		case i == 5:
			r.Directory.Epoch--
		case i == 6:
			r.Abstains = "Its clock differs from that of its neighbours."
		case i == 11:
			r.Listed, r.Running = false, false
		case i >= 9:
			r.Exit = "web"
		}
		f.status.Relays = append(f.status.Relays, r)
	}
	f.status.Client.Circuits = []control.Circuit{
		fakeCircuit("c1", "TCP port 443", 3, 7*time.Minute, 1, 3, 9), fakeCircuit("c2", "TCP port 443", 1, 2*time.Minute, 1, 8, 10), fakeCircuit("c3", "anything", 0, 40*time.Second, 2, 7, 9),
	}
	return f
}

// newTestnetWithout is one that shows no settings.
func newTestnetWithout() *fake {
	f := newTestnet()
	f.bare = true
	return f
}
