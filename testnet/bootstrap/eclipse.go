// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"math/rand/v2"
	"slices"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/transition"
	"chive/directory/vote"
)

// What a network is when clients begin: its size, how old it is, and when the states
// were saved that they may begin with.
type setting struct {
	relays  int
	epochs  uint64
	anchors []uint64
	clients int // of each share, mixed
	each    int // of each kind, at the largest share
}

// forkAt is the epoch at which the chain by retired keys leaves the network's: before any
// successor was drawn.
const forkAt = 50

func settingOf(short bool) setting {
	if short {
		return setting{relays: 100, epochs: 160, anchors: []uint64{120, 150}, clients: 12, each: 4}
	}
	// Two weeks less two hours: genesis itself is a young enough anchor.
	return setting{relays: 240, epochs: 334, anchors: []uint64{60, 120, 180, 240, 300, 328}, clients: 1000, each: 200}
}

// peerCount is how many first peers a client is given.
const peerCount = 9

// eclipse is a network with an adversary, at the moment at which clients begin.
type eclipse struct {
	*chain
	setting
	v      *verifier
	newest uint64
	now    time.Time
	good   *honest
	later  *honest  // some epochs on
	saved  [][]byte // states to begin with

	parent       *transition.State // of the last three epochs
	parentServer *dirsync.Server
	lost         dirsync.Final // was signed, withheld, and never built on
	oldest       []byte        // an old certificate
	early        struct {
		epoch  uint64
		now    *transition.State
		steps  []*vote.Step
		server *dirsync.Server
	}
	does     map[kind][]trick
	siblings map[[32]byte]bool

	hostile map[record.RID]*trick // of this run
	dead    bool                  // all but the first peers are
}

// newEclipse builds the network and all that the adversary has.
func newEclipse(seed uint64, s setting) (*eclipse, error) {
	c, err := newChain(seed, s.relays, genesis.Public())
	if err != nil {
		return nil, err
	}
	w := &eclipse{chain: c, setting: s, v: newVerifier(), newest: s.epochs}
	f := dirsync.NewFollower(c.doc, w.v)
	var old []*dirsync.Server
	for e := uint64(1); e <= w.newest; e++ {
		if e == w.newest-2 { // those who made it kept it to themselves: the others go on without
			w.parent, w.parentServer = c.now, c.server
			if w.lost, err = c.agree(c.now, e, nil, nil, c.signer); err != nil {
				return nil, err
			}
			continue
		}
		final, err := c.grow(e)
		if err != nil {
			return nil, err
		}
		if e == 10 {
			w.oldest = final.Certificate.Encode()
		}
		if e == forkAt {
			w.early.epoch, w.early.now, w.early.steps, w.early.server = e, c.now, slices.Clip(slices.Clone(c.steps)), c.server
		}
		if slices.Contains(s.anchors, e) {
			if _, _, err := refresh(f, newHonest(c.server, c.at(e, .5)), c.at(e, .5)); err != nil {
				return nil, err
			}
			w.saved = append(w.saved, f.Encode())
		}
		// The working snapshot is one older: 5 epochs are the least that is stale.
		if age := w.newest - e; slices.Contains([]uint64{4, 9, 30, 71, 120, w.newest - 20}, age) {
			old = append(old, c.server)
		}
	}
	w.now = c.at(w.newest, .5)
	w.good = newHonest(c.server, w.now)
	if err := w.tricks(old); err != nil {
		return nil, err
	}
	for e := w.newest + 1; e <= w.newest+3; e++ {
		if _, err := c.grow(e); err != nil {
			return nil, err
		}
	}
	w.later = newHonest(c.server, c.at(w.newest+3, .5))
	return w, nil
}

// source returns a relay as it behaves towards a client.
func (w *eclipse) source(c *client, rid record.RID) source {
	s := source{rid: rid, addrs: w.byRID[rid].addresses, relay: w.good}
	t := w.hostile[rid]
	switch {
	case t != nil:
		s.relay, s.stale, s.off = t.relay, t.kind == stale, t.off
		if t.name == retiredKeys && c.f.Snapshot().Epoch() < forkAt {
			s.relay = w.does[orphan][0].relay // whose list is from before cannot tell: keys must have been erased
		}
	case w.dead && !slices.Contains(c.peers, rid):
		s.relay = nil
	}
	return s
}

// lay gives a share of the relays to the adversary, which do what a kind says.
func (w *eclipse) lay(r *rand.Rand, share float64, k kind) {
	w.hostile = map[record.RID]*trick{}
	var all []*person
	table := w.good.server.Working(w.now).Table()
	for i := range table.Len() {
		all = append(all, w.byRID[table.At(i).RID])
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, n := range all[:int(share*float64(len(all))+.5)] {
		does := k
		if k == mixed {
			kinds := allKinds()
			does = kinds[r.IntN(len(kinds))]
		}
		tricks := w.does[does]
		w.hostile[n.rid] = &tricks[r.IntN(len(tricks))]
	}
}

// peers draws a client's first peers: of nine, as many hostile as the share says.
func (w *eclipse) peers(r *rand.Rand, share float64) (out []record.RID) {
	table := w.good.server.Working(w.now).Table()
	bad := int(share*peerCount + .5)
	for len(out) < peerCount {
		rid := table.At(r.IntN(table.Len())).RID
		hostile := w.hostile[rid] != nil
		if slices.Contains(out, rid) || hostile != (bad > 0) {
			continue
		}
		if hostile {
			bad--
		}
		out = append(out, rid)
	}
	return out
}

// tally is what became of the clients of one run.
type tally struct {
	tries                              []float64
	clients, done, first               int
	forged, met, missed                int
	worried, warned, strayed, unhealed int
	bytes                              float64
}

// run has clients begin.
func (w *eclipse) run(name string, share float64, k kind, dead bool, clients int) (*tally, error) {
	r := stream(w.seed, name)
	w.dead = dead
	w.lay(r, share, k)
	t := &tally{}
	for i := range clients {
		f, err := w.anchored(i)
		if err != nil {
			return nil, err
		}
		c := &client{f: f, rand: r, now: w.now, world: w, dropped: map[record.RID]bool{}}
		if c.peers = w.peers(r, share); dead {
			c.peers = c.peers[:1]
		}
		c.hold()
		w.begin(c, t)
	}
	return t, nil
}

// anchored returns a follower with the genesis document, or a saved state.
func (w *eclipse) anchored(i int) (*dirsync.Follower, error) {
	if i%2 == 0 {
		return dirsync.NewFollower(w.doc, w.v), nil
	}
	return dirsync.LoadFollower(w.doc, w.v, w.saved[i/2%len(w.saved)])
}

// begin has one client begin, and looks at what it took.
func (w *eclipse) begin(c *client, t *tally) {
	done, first := c.begin()
	t.clients++
	t.tries = append(t.tries, float64(c.tries))
	t.bytes += c.seen.link()
	count := func(n *int, is bool) {
		if is {
			*n++
		}
	}
	count(&t.done, done)
	count(&t.first, first)
	count(&t.met, c.met)
	count(&t.missed, c.missed)
	count(&t.worried, c.worried)
	count(&t.warned, c.warned)
	count(&t.forged, slices.ContainsFunc(c.taken, func(d [32]byte) bool { return !w.known(d) && !w.siblings[d] }))
	if !w.siblings[c.f.Snapshot().Header().Digest()] {
		return
	}
	t.strayed++
	_, _, err := refresh(c.f, w.later, w.later.now)
	count(&t.unhealed, err != nil || !w.known(c.f.Snapshot().Header().Digest()))
}

// known reports whether a snapshot is one of the network's.
func (w *eclipse) known(digest [32]byte) bool {
	_, ok := w.honest[digest]
	return ok
}
