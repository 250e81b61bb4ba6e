// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"chive/directory"
	"chive/directory/record"
	"chive/internal/redact"
)

// Limits of the loop.
const (
	maxInputs  = 128             // that wait for the loop; whoever has more waits
	maxPerLook = 64              // inputs between two looks at the clock
	longestNap = time.Second     // the wall clock may have jumped
	retryLife  = 5 * time.Second // before a new machine is tried again
)

// errNowhere says that there is no address to dial; errEnough ends a walk.
var (
	errNowhere = errors.New("relay: no address to dial")
	errEnough  = errors.New("relay: enough")
)

// input is what the loop is told: an event, with the stream of a LinkUp; or what the
// relay has as a client, to be kept.
type input struct {
	event  directory.Event
	stream *gossipStream
	client []byte
}

// replica drives one directory.Machine: one goroutine (run) owns the machine, takes
// events from a bounded channel, gives it a Tick at its latest Wake, and carries out
// effects in their order. What may wait for others is done by goroutines that report
// back. When the wall clock was set by more than members may differ the machine ends,
// and the next one goes on from what was stored: times that the machine remembers would
// be wrong, and neighbours are to be told the new one.
//
// Spec: package directory (Machine).
type replica struct {
	r       *Relay
	in      chan input
	opening chan struct{}   // tokens: dials for gossip
	probing chan struct{}   // tokens: probes
	ctx     context.Context // of everything that the replica has started
	tasks   sync.WaitGroup
	keeper  *keeper
	worker  *worker
	away    awayness
	joiner  *joiner

	timekeeper timekeeper

	// The loop's.
	machine *directory.Machine
	memory  *memory
	clock   clock
	wake    time.Time
	own     []directory.Event // that the role itself has caused; before those of in
	effects []directory.Effect
	streams map[uint64]*gossipStream
	redial  redial
	past    *past // for the directory server, until the first View
	listed  listing
	facts   facts
	reports []Report

	gathered time.Time // when nicknames were
}

// newReplica makes a machine of what was stored. Errors: ErrStore, ErrKeys.
func (r *Relay) newReplica() (_ *replica, err error) {
	now := r.wall().Round(0)
	d := &replica{
		r: r, in: make(chan input, maxInputs), opening: make(chan struct{}, maxGossipOpening),
		streams: map[uint64]*gossipStream{},
		probing: make(chan struct{}, maxProbing), memory: newMemory(r.store, r.rid), clock: newClock(r.wall),
	}
	d.away.wake = make(chan struct{}, 1)
	d.redial.least = earlyEnd * r.genesis.Params.GetTimeout
	lost, err := d.memory.seatsLost(r.genesis, now)
	if err != nil {
		return nil, errors.Join(ErrStore, redact.Classify(err))
	}
	other, err := d.memory.otherTill()
	if err != nil {
		return nil, errors.Join(ErrStore, redact.Classify(err))
	}
	keys, err := r.cfg.Keys.Committee()
	if err != nil {
		return nil, errors.Join(ErrKeys, err)
	}
	defer func() {
		if err != nil {
			wipeKeys(keys)
		}
	}()
	if d.keeper, err = newKeeper(d, keys, now); err != nil {
		return nil, errors.Join(ErrKeys, err)
	}
	var seed [32]byte
	if _, err := io.ReadFull(r.cfg.Rand, seed[:]); err != nil {
		return nil, err
	}
	var unread error
	d.machine, err = directory.New(directory.Config{
		Document: r.genesis, RID: r.rid, VRF: r.cfg.Keys.VRF(), Keys: keys, Rand: rand.NewChaCha8(seed),
		Verifier: r.cfg.Verifier, Saved: saved(r.store, &unread), MemoryLost: lost, OtherTill: other,
	})
	if err != nil {
		return nil, err
	}
	d.step(directory.Tick{}) // reads the rest of what was stored
	if own := d.machine.Own(); own != nil {
		r.describes(own.Addresses)
		// While no address may be published the old descriptor stays.
		if about, ok := r.publishable(); ok && (!about.says(own, &d.keeper.onion, r.cfg.Keys.VRF().Public()) || d.keeper.stale(own, now)) {
			d.own = append(d.own, directory.Renew{})
		}
	}
	err = unread
	if err == nil && r.directory.Load() == nil { // else the directory server lives on
		d.past, err = readPast(r.store)
	}
	if err == nil {
		d.joiner, err = newJoiner(d)
	}
	if err != nil {
		return nil, errors.Join(ErrStore, redact.Classify(err))
	}
	d.worker = newWorker(d)
	d.timekeeper.d, d.timekeeper.rand = d, rand.New(rand.NewPCG(d.joiner.rand.Uint64(), d.joiner.rand.Uint64()))
	d.effects = slices.DeleteFunc(d.effects, func(e directory.Effect) bool {
		v, ok := e.(directory.View) // at once: the relay is about to serve
		if ok {
			d.viewed(v)
		}
		return ok
	})
	d.tell(now)
	return d, nil
}

// replicate runs one machine after another until ctx ends.
func (r *Relay) replicate(ctx context.Context, d *replica) {
	defer func() { d.wipe() }()
	for ctx.Err() == nil {
		if d != nil {
			d.run(ctx)
			d.wipe()
		}
		if ctx.Err() != nil {
			return
		}
		var err error
		if d, err = r.newReplica(); err != nil {
			r.without(err)
			r.idleLine.Do(func() {
				r.cfg.Log.Error().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("directory")).EmbedObject(redact.Classify(err)).
					Msg("the relay takes no part in the directory; check the state folder")
			})
			t := time.NewTimer(retryLife)
			select {
			case <-t.C:
			case <-ctx.Done():
				t.Stop()
			}
		}
	}
}

// wipe destroys what the replica holds of private keys, once it has ended. d may be nil.
func (d *replica) wipe() {
	if d == nil {
		return
	}
	d.machine.Wipe()
	for {
		select {
		case in := <-d.in:
			if k, is := in.event.(directory.Key); is { // of which the machine never heard
				clear(k.Key)
			}
		default:
			return
		}
	}
}

// wipeKeys destroys committee keys.
func wipeKeys(keys map[uint64]ed25519.PrivateKey) {
	for _, key := range keys {
		clear(key)
	}
}

// without shows that the relay takes no part, for the time being.
func (r *Relay) without(err error) {
	s := &DirectoryStatus{Unmeasured: true}
	if old := r.directory.Load(); old != nil {
		*s = *old
	}
	s.Committee.Reason, s.Neighbours, s.Gossip = "the directory's machine does not run", 0, GossipStatus{}
	if errors.Is(err, ErrKeys) {
		s.Keys = "the keys cannot be read; it is tried again"
	} else {
		s.Store = "the directory's memory cannot be read; it is tried again. Traffic goes on"
		s.StoreFix = "Check the disk of the state folder, and who may read and write there."
	}
	r.directory.Store(s)
}

// run drives the machine until ctx ends or the clock was set.
func (d *replica) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	d.ctx = ctx
	defer d.tasks.Wait()
	defer cancel()
	d.r.replica.Store(d)
	defer d.r.replica.Store(nil)
	d.tasks.Go(d.keeper.run)
	d.tasks.Go(d.worker.run)
	d.tasks.Go(d.joiner.run)
	d.tasks.Go(d.timekeeper.run)
	// Effects of the first step have waited for the goroutines that they ask for.
	d.carryAll()
	t := time.NewTimer(0)
	defer t.Stop()
	for {
		d.settle()
		now, jump := d.clock.now()
		if jump > d.r.genesis.Params.ClockMember {
			d.r.cfg.Log.Warn().EmbedObject(redact.RoleRelay).EmbedObject(redact.Event("clock_set")).
				Msg("the system clock was set, or stood still; the directory begins anew from what is stored")
			d.r.renewLinkKey()
			d.answer(d.memory.commit(now))
			return
		}
		if !now.Before(d.wake) {
			d.step(directory.Tick{})
			d.carryAll()
		}
		d.answer(d.memory.tick(now))
		d.settle()
		d.settleLoss(now)
		d.tell(now)
		t.Reset(d.nap(now))
		select {
		case <-ctx.Done():
			d.answer(d.memory.commit(now))
			return
		case <-t.C:
		case in := <-d.in:
			d.take(in)
			d.takeMore()
		}
	}
}

// nap is how long the loop may wait for an input.
func (d *replica) nap(now time.Time) time.Duration {
	until := d.wake
	if due := d.memory.due(); !due.IsZero() && due.Before(until) {
		until = due
	}
	return max(time.Millisecond, min(until.Sub(now), longestNap))
}

// takeMore takes what is there already, up to a bound.
func (d *replica) takeMore() {
	for range maxPerLook {
		select {
		case in := <-d.in:
			d.take(in)
		default:
			return
		}
	}
}

// send tells the loop something and waits until it can be told. false: it has ended.
func (d *replica) send(in input) bool {
	select {
	case d.in <- in:
		return true
	case <-d.ctx.Done():
		return false
	}
}

// offer tells the loop something that it can do without. false: there is no room.
func (d *replica) offer(in input) bool {
	select {
	case d.in <- in:
		return true
	default:
		return false
	}
}

// take takes one input.
func (d *replica) take(in input) {
	switch ev := in.event.(type) {
	case nil:
		now, _ := d.clock.now()
		d.memory.put(now, Write{Bucket: viewBucket, Key: clientKey, Value: in.client}, 0, false)
		return
	case directory.LinkUp:
		if len(d.streams) >= maxGossipStreams {
			in.stream.abort()
			return
		}
		d.streams[ev.Link] = in.stream
		in.stream.since, _ = d.clock.now()
	case directory.LinkDown:
		s := d.streams[ev.Link]
		if s == nil {
			return
		}
		delete(d.streams, ev.Link)
		if s.ours {
			now, _ := d.clock.now()
			d.redial.ended(s.rid, now.Sub(s.since))
		}
	case directory.Frame:
		if d.streams[ev.Link] == nil {
			return
		}
	case directory.Seen:
		d.step(ev)
		d.carryAll()
		d.show()
		d.settle()
		return
	}
	d.step(in.event)
	d.carryAll()
	d.settle()
}

// settle goes on until the role itself has no more to tell the machine.
func (d *replica) settle() {
	for len(d.own) > 0 {
		ev := d.own[0]
		d.own = d.own[1:]
		d.step(ev)
		d.carryAll()
	}
	d.own = nil
}

// step takes one step of the machine; carryAll carries out what it wants.
func (d *replica) step(ev directory.Event) {
	now, _ := d.clock.now()
	d.effects = d.machine.Step(now, ev, d.effects)
}

// carryAll carries out effects in their order. What must be durable is before anybody
// else can notice that there is more.
func (d *replica) carryAll() {
	now, _ := d.clock.now()
	for i, e := range d.effects {
		d.effects[i] = nil
		switch e := e.(type) {
		case directory.Store:
			d.memory.add(now, &e)
			continue
		case directory.Wake:
			d.wake = e.At
			continue
		}
		d.answer(d.memory.settle(now))
		d.carry(e)
	}
	d.effects = d.effects[:0]
	d.answer(d.memory.settle(now))
}

// carry carries out one effect that is neither Store nor Wake.
func (d *replica) carry(e directory.Effect) {
	switch e := e.(type) {
	case directory.Send:
		d.sent(e)
	case directory.Open:
		d.open(e)
	case directory.Close:
		d.closed(e)
	case directory.Probe:
		d.probe(e)
	case directory.View:
		d.viewed(e)
	case directory.Publish:
		d.keeper.publish(e)
	case directory.SignEntry:
		d.keeper.sign(e.Entry)
	case directory.Erase:
		d.keeper.erase(e.Term)
	case directory.CheckWork:
		d.worker.check(e)
	case directory.Solve:
		d.worker.solve(e)
	case directory.Report:
		d.report(e)
	}
}

// answer has the machine told what has become of its promises, next of all.
func (d *replica) answer(stored []directory.Stored) {
	for _, s := range stored {
		d.own = append(d.own, s)
	}
}

// contact tells the loop, if there is room, that a link with a relay was made.
func (r *Relay) contact(rid record.RID) {
	if d := r.replica.Load(); d != nil {
		d.offer(input{event: directory.Contact{RID: rid}})
	}
}
