// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chive/directory/genesis"
	"chive/internal/control"
	roles "chive/internal/node"
)

// Times of the measurement of idle relays.
const (
	// Epochs are ten to twelve minutes, with sign and cut-off times that fit into them:
	// what a committee and its network do in an hour is done five times and more.
	idleEpoch   = 10 * time.Minute
	idleLonger  = 2 * time.Minute
	idleSignEnd = 4 * time.Minute
	idleCutOff  = 5 * time.Minute
	idleLead    = 100 * time.Second // from the beginning to the start of an epoch
	idleSettle  = time.Minute       // from when the processes have the newest list to the measurement
	idleLag     = 50 * time.Millisecond
	tick        = 10 * time.Millisecond // of processor times in /proc
)

// idleParams are a public network's but for the length of an epoch, of which one starts
// soon: a process that knows the genesis document alone catches up behind it.
func idleParams() genesis.Params {
	p := genesis.Public()
	p.SignEnd, p.CutOff = idleSignEnd, idleCutOff
	now, best := time.Now().Unix(), int64(1<<62)
	for l := int64(idleEpoch / time.Second); l <= int64((idleEpoch+idleLonger)/time.Second); l++ {
		if left := l - now%l; left >= int64(idleLead/time.Second) && left < best {
			best, p.EpochLen = left, time.Duration(l)*time.Second
		}
	}
	return p
}

// idleRelays measures two real relay processes that carry nothing, one with a seat on
// the committee and one without, in a network all of whose other relays are machines of
// this process. Spec: directory §14 (G2).
func idleRelays(ctx context.Context, t task) (*outcome, error) {
	p, settling := idleParams(), idleSettle
	window := p.EpochLen
	if t.short {
		p, settling, window = genesis.Testnet(), 2*time.Second, 20*time.Second
		p.CommitteeMax = 13
	}
	l, err := newLive(t, p, func(seats []seat) []int {
		// A owns four of five epochs.
		return []int{slices.IndexFunc(seats, func(s seat) bool { return s.a }), slices.Index(seats, seat{})}
	})
	if err != nil {
		return nil, err
	}
	defer l.close()
	folder, err := os.MkdirTemp("", "chive-idle-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(folder)
	document, err := roles.WriteGenesis(folder, l.w.doc)
	if err != nil {
		return nil, err
	}
	if err := l.listen(); err != nil {
		return nil, err
	}
	t.progress("the network is there")
	t.progress(fmt.Sprintf("epochs of %v", p.EpochLen))
	l.w.startAll()
	calm := 0
	if err := l.until(ctx, time.Now().Add(p.EpochLen/2), func() (bool, error) {
		if calm++; l.lag() > idleLag {
			calm = 0
		}
		return calm > 3, nil // the machines have met and compared what they hold
	}); err != nil {
		return nil, err
	}
	var all []*idle
	for _, n := range l.w.nodes {
		if n.away == nil {
			continue
		}
		i, err := startIdle(n, folder, document)
		if err != nil {
			return nil, err
		}
		defer i.stop()
		all = append(all, i)
	}
	settled := func() (bool, error) {
		for _, i := range all {
			if r, err := i.status(ctx); err != nil || r == nil || r.Directory.Epoch < l.served {
				return false, err
			}
		}
		return true, nil
	}
	if err := l.until(ctx, time.Now().Add(3*p.EpochLen/2), settled); err != nil {
		return nil, err
	}
	if ok, err := settled(); !ok {
		return nil, errors.Join(fmt.Errorf("model: a relay has not got the newest list within %v: %s", 3*p.EpochLen/2, all[0].tail()), err)
	}
	t.progress(fmt.Sprintf("the processes have the list of epoch %d", l.served))
	if err := l.until(ctx, time.Now().Add(settling), nil); err != nil {
		return nil, err
	}
	return l.measure(ctx, t, all, window)
}

// measure reads what the processes use in a time.
func (l *live) measure(ctx context.Context, t task, all []*idle, window time.Duration) (*outcome, error) {
	began := time.Now()
	published, first := 0, l.served
	for _, n := range l.w.nodes {
		published -= n.published
	}
	for _, i := range all {
		i.mark()
	}
	minute := began
	err := l.until(ctx, began.Add(window), func() (bool, error) {
		if time.Since(minute) >= time.Minute {
			minute = time.Now()
			line := fmt.Sprintf("after %v, epoch %d, %v late:", time.Since(began).Round(time.Second), l.served, l.lag().Round(time.Millisecond))
			for _, i := range all {
				line += fmt.Sprintf(" %s %.2f %% of a core in this minute;", i.who(), i.minute())
			}
			t.progress(line)
		}
		return false, nil
	})
	if err != nil {
		return nil, err
	}
	d := time.Since(began)
	for _, n := range l.w.nodes {
		published += n.published
	}
	streams, machines := 0, 0
	for _, n := range l.w.nodes {
		if n.up {
			streams, machines = streams+len(n.links), machines+1
		}
	}
	out := &outcome{notes: []string{
		fmt.Sprintf("two real processes of %d relays, the others machines over real links on loopback; in %v of epochs of %v", len(l.w.nodes), d.Round(time.Second), l.w.doc.Params.EpochLen),
		"a process has no other work than the directory's, links and its own timers: nobody uses it",
	}, figures: []figure{
		show("finals in this time", "", float64(l.served-first)),
		show("descriptors published by machines in this time", "", float64(published)),
		show("gossip streams of a machine at the end, mean", "", float64(streams)/float64(machines)),
		show("calls to the processes that failed", "", float64(l.errs)),
	}}
	for _, i := range all {
		figures, err := i.figures(ctx, d, l)
		if err != nil {
			return nil, err
		}
		out.figures = append(out.figures, figures...)
	}
	return out, nil
}

// idle is a relay process.
type idle struct {
	n         *node
	cmd       *exec.Cmd
	state     string
	log       string
	processor time.Duration // at the beginning
	last      time.Duration
	lastAt    time.Time
	most      float64 // % of a core in a minute
	before    process // counts
	seat      bool
	probes    int
	linked    int
}

func (i *idle) who() string {
	if i.seat {
		return "member"
	}
	return "no member"
}

// startIdle makes a relay's folder and starts this program as that relay.
func startIdle(n *node, folder, document string) (*idle, error) {
	i := &idle{n: n, state: filepath.Join(folder, fmt.Sprint("relay", n.n)), seat: n.w.seats()[n.n].a}
	i.log = i.state + ".log"
	s, err := roles.OpenState(i.state)
	if err != nil {
		return nil, err
	}
	_, err = s.Found(roles.FounderOptions{Declaring: roles.Declaring{Addresses: []string{n.address.String()}}, Out: i.state + ".founder"}, rand.Reader, time.Now())
	s.Close()
	if err == nil {
		err = writeKeys(n.person, filepath.Join(i.state, "relay", "keys"))
	}
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(i.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	i.cmd = exec.Command(self, "relay", "run", "--state", i.state, "--genesis", document, "--listen", n.address.String(), "--nat", "off")
	i.cmd.Dir, i.cmd.Stdout, i.cmd.Stderr = folder, log, log
	i.cmd.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder)
	return i, i.cmd.Start()
}

// writeKeys puts a relay's keys in place of those that were made for it, as key files
// hold them.
func writeKeys(p *person, folder string) error {
	write := func(name, kind string, seed, public [32]byte, more ...string) error {
		b := &pem.Block{Type: "CHIVE " + kind + " KEY", Bytes: seed[:], Headers: map[string]string{
			"Created": time.Now().UTC().Format(time.RFC3339), "Public": hex.EncodeToString(public[:]),
		}}
		for at := 0; at < len(more); at += 2 {
			b.Headers[more[at]] = more[at+1]
		}
		return os.WriteFile(filepath.Join(folder, name), pem.EncodeToMemory(b), 0o600)
	}
	sign := func(name, kind, purpose string, more ...string) error {
		seed := seedOf(p.seed, p.n, purpose)
		return write(name, kind, seed, public(ed25519.NewKeyFromSeed(seed[:])), more...)
	}
	onion := func(version int, more ...string) error {
		seed := seedOf(p.seed, p.n, fmt.Sprint("onion ", version))
		k, err := ecdh.X25519().NewPrivateKey(seed[:])
		if err != nil {
			return err
		}
		return write(fmt.Sprintf("onion-%d.key", version+1), "ONION", seed, [32]byte(k.PublicKey().Bytes()), more...)
	}
	return errors.Join(
		sign("identity.key", "IDENTITY", "identity"), sign("vrf.key", "VRF", "vrf"),
		sign("committee-0.key", "COMMITTEE", "committee 0", "Term", "0"), sign("committee-1.key", "COMMITTEE", "committee 1", "Term", "1"),
		onion(0, "Active", time.Now().UTC().Format(time.RFC3339)), onion(1),
	)
}

// status asks the process how it stands; nil: it does not answer yet.
func (i *idle) status(ctx context.Context) (*control.Relay, error) {
	if _, err := i.used(); err != nil {
		return nil, fmt.Errorf("model: a relay process has ended: %s", i.tail())
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, _, err := control.Fetch(ctx, filepath.Join(i.state, "control.sock"))
	if err != nil || len(s.Relays) != 1 {
		return nil, nil
	}
	return &s.Relays[0], nil
}

func (i *idle) tail() string {
	data, _ := os.ReadFile(i.log)
	return string(data[max(0, len(data)-1000):])
}

// used is the processor time that the process has had, user's and system's.
func (i *idle) used() (time.Duration, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", i.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("model: this needs /proc, as Linux has it: %w", err)
	}
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(f) < 13 || f[0] == "Z" {
		return 0, errors.New("model: the process has ended")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * tick, errors.Join(err1, err2)
}

// resident is the memory of the process in MiB, now or at most.
func (i *idle) resident(name string) float64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", i.cmd.Process.Pid))
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name+":" {
			kib, _ := strconv.ParseFloat(f[1], 64)
			return kib / 1024
		}
	}
	return 0
}

func (i *idle) mark() {
	i.processor, _ = i.used()
	i.last, i.lastAt = i.processor, time.Now()
	p := i.n.away
	i.before = process{in: p.in, out: p.out, bytesIn: p.bytesIn, bytes: p.bytes}
	i.probes, i.linked = p.probes, p.linked
}

// minute is what the process has used since this was asked before, % of a core.
func (i *idle) minute() float64 {
	now, _ := i.used()
	at := time.Now()
	v := 100 * (now - i.last).Seconds() / at.Sub(i.lastAt).Seconds()
	i.last, i.lastAt, i.most = now, at, max(i.most, v)
	return v
}

func (i *idle) figures(ctx context.Context, d time.Duration, l *live) ([]figure, error) {
	used, err := i.used()
	if err != nil {
		return nil, err
	}
	r, err := i.status(ctx)
	if err != nil || r == nil {
		return nil, errors.Join(errors.New("model: a relay process does not answer"), err)
	}
	p := i.n.away
	frames := func(now, before *[16]int, kinds ...byte) (sum float64) {
		for _, k := range kinds {
			sum += float64(now[k] - before[k])
		}
		return sum
	}
	label := i.who() + ": "
	behind := float64(l.served) - float64(r.Directory.Epoch)
	return []figure{
		atMost(label+"processor time, of a core", "%", 100*(used-i.processor).Seconds()/d.Seconds(), 1),
		show(label+"same in the busiest minute", "%", i.most),
		show(label+"resident, now", "MiB", i.resident("VmRSS")),
		show(label+"resident, at most", "MiB", i.resident("VmHWM")),
		show(label+"neighbours at the end", "", float64(r.Neighbours)),
		show(label+"gossip streams with machines since the start", "", float64(p.linked)),
		show(label+"relays on its list", "", float64(r.Directory.Relays)),
		atMost(label+"epochs behind at the end", "", behind, 0),
		show(label+"gossip to it, from it", "MB/h", float64(p.bytesIn-i.before.bytesIn+p.bytes-i.before.bytes)/1e6/d.Hours()),
		show(label+"records brought to it", "", frames(&p.in, &i.before.in, frameItem, framePush)),
		show(label+"records that it brought", "", frames(&p.out, &i.before.out, frameItem, framePush)),
		show(label+"repairs", "", frames(&p.in, &i.before.in, frameRepair)+frames(&p.out, &i.before.out, frameRepair)),
		show(label+"probes of it", "", float64(p.probes-i.probes)),
	}, nil
}

// stop ends the process.
func (i *idle) stop() {
	_ = i.cmd.Process.Kill()
	_ = i.cmd.Wait()
}
