// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/link"
)

// circ is one circuit of this client. Its reader goroutine takes everything the
// guard sends; o is touched only under car's lock.
type circ struct {
	c     *Client
	path  []*snapshot.Relay
	table *table // that the path was chosen from
	need  need   // that it was chosen for
	id    string // for the local user; it is on no wire
	link  *link.Link
	st    *link.Stream
	car   *carrier.Carrier
	o     *circuit.Origin

	grown chan struct{} // a token when a hop was added
	done  chan struct{} // closed when the reader has ended

	// Under Client.mu.
	key       Isolation // of the streams it carries, once taken
	taken     bool      // carries streams of key and of no other
	takenAt   time.Time
	openedAt  time.Time
	took      time.Duration // to build; set before it is open
	idleSince time.Time     // when a stream ended last
	retired   bool          // takes no further stream
	age       uint64        // of the requests that it is for
	streams   int

	heard atomic.Uint64 // batches of cells that came

	mu   sync.Mutex
	lost *circuitError // why it is gone; set once
	echo *echo         // that is on its way
}

// circuitError says how a circuit failed, without naming its relays.
type circuitError struct {
	// hop is the position, from 0, of the relay that could not be reached or
	// was lost; -1 if nobody can tell.
	hop    int
	reason circuit.Reason
	// timeout: nothing was heard in time.
	timeout bool
	// local: it was ended from this side.
	local bool
}

func (e *circuitError) Error() string {
	if e.timeout {
		return "client: a relay of the circuit did not answer in time"
	}
	return "client: the circuit ended: " + e.reason.String()
}

// unknownKey reports whether a relay of a circuit does not have the onion key that the
// list of relays gives it.
func unknownKey(err error) bool {
	var ce *circuitError
	return errors.As(err, &ce) && ce.reason == circuit.ReasonUnknownKey && !ce.local
}

// explainBuild puts a build's error into words a person can use.
func (c *Client) explainBuild(err error) error {
	var ce *circuitError
	switch {
	case errors.Is(err, errClosing):
		return errEnding()
	case errors.Is(err, errFull):
		return errCircuit("the client has as many circuits as it may; close some connections")
	case errors.Is(err, errLost):
		return errCircuit("it was lost before it was used")
	case errors.As(err, &ce) && ce.timeout:
		return errCircuit("a relay did not answer in time")
	case errors.As(err, &ce):
		return errCircuit("a relay ended it (" + ce.reason.String() + ")")
	}
	return c.errDown(c.linkTrouble(err), err)
}

// explainTry says which step of a build along path failed.
func (c *Client) explainTry(path []*snapshot.Relay, err error, took time.Duration) TryExplained {
	t := TryExplained{Phase: phaseCircuit, Took: took}
	var ce *circuitError
	switch {
	case errors.Is(err, errLost):
		t.Reason, t.Text = "lost", "it was lost before it was used"
		return t
	case !errors.As(err, &ce):
		t.Hop, t.Relay = 1, relayName(path[0].RID)
		t.Reason, t.Text = c.troubleOf(err)
		t.Text = strings.Replace(t.Text, another, "", 1) // the next try says what is
		return t
	case ce.timeout:
		t.Reason, t.Text = "timeout", "a relay did not answer in time"
	default:
		t.Reason, t.Text = "relay", "a relay ended it ("+ce.reason.String()+")"
	}
	if ce.hop >= 0 && ce.hop < len(path) {
		t.Hop, t.Relay = ce.hop+1, relayName(path[ce.hop].RID)
	}
	return t
}

// build makes a circuit for n along path, which was chosen from t. On failure it returns a *circuitError, or
// the error of the link to the guard with hop 0.
func (c *Client) build(ctx context.Context, path []*snapshot.Relay, t *table, n need) (*circ, error) {
	l, err := c.linkTo(ctx, path[0])
	if err != nil {
		return nil, err
	}
	st, err := l.Open(link.StreamCircuit)
	if err != nil {
		return nil, &circuitError{hop: 0, reason: circuit.ReasonLinkLost}
	}
	o, err := circuit.NewOrigin(c.params, &c.buffers, c.cfg.Rand)
	if err != nil {
		st.Close()
		return nil, err
	}
	q := &circ{
		c: c, path: path, table: t, need: n, id: localID(), link: l, st: st, o: o,
		car:   carrier.New(&o.End, st),
		grown: make(chan struct{}, 1),
		done:  make(chan struct{}),
	}
	if !c.begin() {
		st.Close()
		return nil, errClosing
	}
	c.carry(l, 1)
	go func() {
		defer c.tasks.Done()
		defer close(q.done)
		defer c.carry(l, -1)
		q.read()
	}()
	began := time.Now()
	if err := q.grow(ctx); err != nil {
		var ce *circuitError
		if took := time.Since(began); errors.As(err, &ce) && ce.timeout && ce.hop == 0 && took >= buildMinLimit && l.Quiet() >= took {
			c.guardHangs(path[0].RID, l)
		}
		q.close()
		return nil, err
	}
	return q, nil
}

// grow adds the path's hops. While one is awaited, the handshake with the next one is
// begun, and at last one for another circuit.
func (q *circ) grow(ctx context.Context) error {
	p, err := q.c.firstHop(q.path[0])
	for i := range q.path {
		if err != nil {
			return atHop(i, err)
		}
		if err := q.car.Do(func() error { return q.o.ExtendPrepared(p) }); err != nil {
			p.Wipe()
			return atHop(i, q.failure(err))
		}
		runtime.Gosched() // on one processor the cell would wait for what comes now
		if p = nil; i+1 < len(q.path) {
			p, err = circuit.Prepare(q.c.cfg.Rand, target(q.path[i+1]))
		} else {
			q.c.beginAhead(q.path[0])
		}
		if err := q.awaitHop(ctx); err != nil {
			if p != nil {
				p.Wipe()
			}
			return atHop(i, err)
		}
	}
	return nil
}

// awaitHop waits until the hop being added is there.
func (q *circ) awaitHop(ctx context.Context) error {
	select {
	case <-q.grown:
		return nil
	case <-q.car.Dead():
		return q.failure(carrier.ErrClosed)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// atHop says that adding hop i failed, unless err knows better.
func atHop(i int, err error) error {
	var ce *circuitError
	if errors.As(err, &ce) {
		return ce
	}
	return &circuitError{hop: i, timeout: true}
}

// failure returns why the circuit is gone, or err.
func (q *circ) failure(err error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lost != nil {
		return q.lost
	}
	return err
}

// read takes the guard's cells until the circuit ends.
func (q *circ) read() {
	for {
		if q.st.WaitCells() != nil {
			q.lose(&circuitError{hop: 0, reason: circuit.ReasonLinkLost}, circuit.ReasonNone)
			return
		}
		buf := q.c.buffer()
		lost, code := q.batch(*buf)
		q.c.release(buf)
		if lost != nil {
			q.lose(lost, code)
			return
		}
	}
}

// batch takes the cells that have arrived. A circuit that is over gives a reason
// and what to say in DESTROY.
func (q *circ) batch(buf []byte) (*circuitError, circuit.Reason) {
	cells, err := q.st.ReadCells(buf)
	if err != nil {
		return &circuitError{hop: 0, reason: circuit.ReasonLinkLost}, circuit.ReasonNone
	}
	q.heard.Add(1)
	if !q.car.Enter() {
		return &circuitError{hop: -1, local: true}, circuit.ReasonNone
	}
	defer q.car.Leave()
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if err := q.o.Receive(time.Now(), cells[:cell.Size]); err != nil {
			return &circuitError{hop: -1, reason: circuit.ReasonOf(err)}, circuit.ReasonOf(err)
		}
		for _, e := range q.o.Events() {
			switch e.Kind {
			case circuit.EventExtended:
				select {
				case q.grown <- struct{}{}:
				default:
				}
			case circuit.EventTruncated:
				return &circuitError{hop: e.Hop + 1, reason: e.Reason}, circuit.ReasonNone
			}
		}
	}
	return nil, 0
}

// lose records why the circuit is gone, blames the relay that was lost, and ends
// the circuit's streams.
func (q *circ) lose(why *circuitError, code circuit.Reason) {
	q.mu.Lock()
	first := q.lost == nil
	if first {
		q.lost = why
	}
	q.mu.Unlock()
	if first {
		q.c.blame(q, why)
	}
	if code == circuit.ReasonNone {
		q.car.Fail(circuit.EndInternal)
	} else {
		// The reader must not wait for a guard that does not read.
		q.c.tasks.Add(1)
		go func() {
			defer q.c.tasks.Done()
			q.car.Shut(circuit.ReasonNone, circuit.EndInternal)
			q.st.Close()
		}()
		<-q.car.Dead()
	}
	q.st.Close()
	q.c.forget(q)
	q.o.Wipe()
}

// close ends the circuit from this side and waits for its reader. Towards the
// relays the reason is always none.
func (q *circ) close() {
	q.mu.Lock()
	if q.lost == nil {
		q.lost = &circuitError{hop: -1, local: true}
	}
	q.mu.Unlock()
	q.car.Shut(circuit.ReasonNone, circuit.EndDone)
	q.st.Close()
	<-q.done
}

// rids returns the relays of the path.
func (q *circ) rids() []record.RID {
	out := make([]record.RID, len(q.path))
	for i, r := range q.path {
		out[i] = r.RID
	}
	return out
}

// behindGuard returns all relays of the circuit but the guard.
func (q *circ) behindGuard() []*snapshot.Relay { return q.path[1:] }

// last returns the circuit's last relay.
func (q *circ) last() *snapshot.Relay { return q.path[len(q.path)-1] }
