// SPDX-License-Identifier: BSD-3-Clause

package carrier

import (
	"errors"
	"sync"
	"time"

	"chive/circuit"
	"chive/circuit/cell"
)

// ErrClosed says that the circuit is gone.
var ErrClosed = errors.New("carrier: the circuit is gone")

// Writer takes whole cells towards the other end, blocking as long as the link
// does. It is called by one goroutine at a time and keeps nothing of cells.
type Writer interface {
	WriteCells(cells []byte) error
}

// destroyPatience is how long Shut lets a DESTROY cell wait for a peer that does
// not read.
const destroyPatience = 5 * time.Second

// flushTurns is how many chunks a goroutine that came to do something else
// writes before it hands the rest to a goroutine of its own.
const flushTurns = 8

// Carrier drives one end of a circuit.
type Carrier struct {
	w Writer

	mu  sync.Mutex
	end *circuit.End
	// Channels are there once somebody has waited: most circuits are idle.
	room     chan struct{} // a token when a passed cell may find room again
	idle     chan struct{} // a token when the last queued cell was written
	dead     chan struct{} // closed when the circuit is gone
	flushing bool          // somebody writes; the outbox is theirs to drain
	closing  bool          // only DESTROY is still to be written
	gone     bool
}

// New returns a Carrier of end that writes to w. From now on end is touched only
// inside Do, Pass and the Carrier's own methods.
func New(end *circuit.End, w Writer) *Carrier {
	return &Carrier{w: w, end: end}
}

// Dead is closed when the circuit is gone.
func (c *Carrier) Dead() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadLocked()
}

func (c *Carrier) deadLocked() <-chan struct{} {
	if c.dead == nil {
		c.dead = make(chan struct{})
		if c.gone {
			close(c.dead)
		}
	}
	return c.dead
}

// Do runs f, which may use the circuit and must not block, and sees to it that
// what it queued is written. It returns f's error, or ErrClosed without calling
// f when the circuit is gone. Do itself does not wait for the link.
func (c *Carrier) Do(f func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone || c.closing {
		return ErrClosed
	}
	err := f()
	c.kick()
	return err
}

// Enter takes the circuit's lock, or reports false when the circuit is gone. The
// caller, who must not block meanwhile, gives it back with Leave. It is Do without
// the closure, for loops that run once per batch of cells.
func (c *Carrier) Enter() bool {
	c.mu.Lock()
	if c.gone || c.closing {
		c.mu.Unlock()
		return false
	}
	return true
}

// Leave gives the lock back and sees to it that what was queued is written.
func (c *Carrier) Leave() {
	c.kick()
	c.mu.Unlock()
}

// kick starts a writer in the background if something waits and nobody writes.
func (c *Carrier) kick() {
	if c.end.Pending() && !c.flushing {
		c.flushing = true
		go func() {
			c.mu.Lock()
			c.flush(0)
			c.mu.Unlock()
		}()
	}
}

// Pass gives cells, a multiple of cell.Size bytes, one by one to put as the
// outbox finds room, and writes them before it returns unless another goroutine
// is writing already. It blocks as long as the link does: that is the circuit's
// back-pressure.
func (c *Carrier) Pass(cells []byte, put func(c []byte) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(cells) > 0 {
		if c.gone || c.closing {
			return ErrClosed
		}
		if c.end.Full() {
			if !c.flushing {
				c.flushing = true
				c.flush(flushTurns)
				continue
			}
			if c.room == nil {
				c.room = make(chan struct{}, 1)
			}
			room, dead := c.room, c.deadLocked()
			c.mu.Unlock()
			select {
			case <-room:
			case <-dead:
			}
			c.mu.Lock()
			continue
		}
		if err := put(cells[:cell.Size]); err != nil {
			return err
		}
		cells = cells[cell.Size:]
	}
	if !c.flushing && c.end.Pending() {
		c.flushing = true
		c.flush(flushTurns)
	}
	return nil
}

// flush writes until nothing is queued. It is called with mu held and flushing
// set by the caller, and returns with mu held. After turns chunks (0: no bound)
// the rest goes to the background.
func (c *Carrier) flush(turns int) {
	for written := 0; ; written++ {
		if c.gone {
			break
		}
		if turns > 0 && written == turns && c.end.Pending() {
			c.flushing = false
			c.kick()
			return
		}
		ch := c.end.Take(time.Now())
		if ch == nil {
			break
		}
		c.mu.Unlock()
		err := c.w.WriteCells(ch.Cells())
		c.mu.Lock()
		c.end.Recycle(time.Now(), ch)
		if err != nil {
			c.fail(circuit.EndInternal)
			break
		}
		token(c.room)
	}
	c.flushing = false
	token(c.idle)
}

// Oldest returns the order of what has waited longest at this end (circuit.End.Oldest).
func (c *Carrier) Oldest() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.Oldest()
}

// Held returns what the account of memory has of this end.
func (c *Carrier) Held() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.end.Accounted()
}

// Settle gives back to the account of memory what is still held: nobody reads a stream
// any more.
func (c *Carrier) Settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end.Settle()
}

// Fail says that the circuit is gone without a word to the other end: every
// stream ends with reason, every waiting call returns. A call that is inside
// the Writer returns when the Writer does: the owner closes it next.
func (c *Carrier) Fail(reason circuit.EndReason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail(reason)
}

func (c *Carrier) fail(reason circuit.EndReason) {
	if c.gone {
		return
	}
	c.gone = true
	c.end.Fail(reason)
	c.end.Drop()
	if c.dead != nil {
		close(c.dead)
	}
}

// Shut ends the circuit: its streams end with reason, a DESTROY cell with code
// goes out, and Shut returns when it is written, when the peer did not take it
// for five seconds, or when the circuit was gone already. The owner closes the
// Writer next, as after Fail.
func (c *Carrier) Shut(code circuit.Reason, reason circuit.EndReason) {
	c.mu.Lock()
	if c.gone || c.closing {
		c.mu.Unlock()
		return
	}
	c.closing = true
	if c.end.StreamCount() > 0 { // else what waits is the rest of streams that ended in order
		c.end.Fail(reason)
		c.end.Drop()
	}
	c.end.Destroy(code)
	token(c.room) // Pass has nothing to wait for any more
	idle := make(chan struct{}, 1)
	c.idle = idle
	dead := c.deadLocked()
	c.kick()
	c.mu.Unlock()

	patience := time.NewTimer(destroyPatience)
	defer patience.Stop()
	for done := false; !done; {
		select {
		case <-idle:
			c.mu.Lock()
			done = !c.end.Pending()
			c.mu.Unlock()
		case <-patience.C:
			done = true
		case <-dead:
			done = true
		}
	}
	c.Fail(reason)
}

// token puts a token into a channel of capacity one, if there is one.
func token(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
