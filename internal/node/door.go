// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// door is an open listener that one server after another may serve, since what the
// configuration says of it can change, and that can be closed while what came in by it
// lives on. Safe for concurrent use.
type door struct {
	Listener               // the real one; its name and options are those of the last turn
	place    string        // where the configuration has it
	bare     atomic.Uint64 // addresses asked for here that were not looked up through chive
	end      func()        // of the page: has its server end, some time after the door is shut

	shut     chan struct{} // closed with the real listener
	shutOnce sync.Once
	mu       sync.Mutex
	last     *turn
	next     chan struct{} // closed and replaced when there is another turn
}

// turn is a door for one server: a net.Listener. Accept returns io.EOF when the turn is
// over, since another server has the door or it is shut; where it lingers it then waits
// to be closed.
type turn struct {
	*door
	in      chan arrival
	over    chan struct{}
	closed  chan struct{}
	lingers bool
	once    sync.Once
}

// arrival is what the real listener has accepted.
type arrival struct {
	conn net.Conn
	err  error
}

func newDoor(l Listener, place string) *door {
	return &door{Listener: l, place: place, shut: make(chan struct{}), next: make(chan struct{})}
}

// turn gives the door to another server than before. The first one opens it.
func (d *door) turn(lingers bool) *turn {
	t := &turn{door: d, in: make(chan arrival), over: make(chan struct{}), closed: make(chan struct{}), lingers: lingers}
	d.mu.Lock()
	before := d.last
	d.last = t
	close(d.next)
	d.next = make(chan struct{})
	d.mu.Unlock()
	if before != nil {
		close(before.over)
	} else {
		go d.bring() // ends when the door is shut
	}
	return t
}

// now returns the turn that the door is in, and what tells of the next.
func (d *door) now() (*turn, <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.last, d.next
}

// close shuts the door: nobody comes in by it any more. It may be called again.
func (d *door) close() {
	d.shutOnce.Do(func() {
		close(d.shut)
		_ = d.Listener.Close()
	})
}

// bring accepts, and gives each to the server whose turn it is.
func (d *door) bring() {
	for {
		c, err := d.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			d.close() // if it was not we who closed it: Accept says so
			return
		}
		for given := false; !given; {
			t, next := d.now()
			select {
			case t.in <- arrival{c, err}:
				given = true
			case <-next:
			case <-d.shut:
				if c != nil {
					_ = c.Close()
				}
				return
			}
		}
	}
}

// Accept implements net.Listener.
func (t *turn) Accept() (net.Conn, error) {
	select {
	case a := <-t.in:
		return a.conn, a.err
	case <-t.closed:
		return nil, net.ErrClosed
	case <-t.over:
	case <-t.shut:
	}
	if t.lingers {
		<-t.closed
		return nil, net.ErrClosed
	}
	return nil, io.EOF
}

// Close ends the turn, and shuts the door if no other server has it.
func (t *turn) Close() error {
	t.once.Do(func() { close(t.closed) })
	if now, _ := t.now(); now == t {
		t.close()
	}
	return nil
}
