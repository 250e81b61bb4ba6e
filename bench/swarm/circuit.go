// SPDX-License-Identifier: BSD-3-Clause

package swarm

import (
	"context"
	"crypto/rand"
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/link"
)

const readBuffer = 4 * cell.Size

// Circuit is one circuit. Its reader is the only goroutine that it keeps.
type Circuit struct {
	s   *Swarm
	st  *link.Stream
	car *carrier.Carrier
	o   *circuit.Origin

	grown chan struct{} // a token when a hop was added
	touch chan struct{} // a token when the far end answered
}

func (s *Swarm) newCircuit(l *link.Link) (*Circuit, error) {
	st, err := l.Open(link.StreamCircuit)
	if err != nil {
		return nil, err
	}
	o, err := circuit.NewOrigin(s.params, &s.buffers, rand.Reader)
	if err != nil {
		st.Close()
		return nil, err
	}
	c := &Circuit{
		s: s, st: st, o: o, car: carrier.New(&o.End, st),
		grown: make(chan struct{}, 1), touch: make(chan struct{}, 1),
	}
	s.tasks.Add(1)
	go func() {
		defer s.tasks.Done()
		c.read()
	}()
	return c, nil
}

// extend adds one hop and waits until it is there.
func (c *Circuit) extend(ctx context.Context, t circuit.Target) error {
	if err := c.car.Do(func() error { return c.o.Extend(t) }); err != nil {
		return err
	}
	return c.await(ctx, c.grown)
}

func (c *Circuit) await(ctx context.Context, token chan struct{}) error {
	select {
	case <-token:
		return nil
	case <-c.car.Dead():
		return ErrCircuit
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Touch asks the last hop for a stream that it refuses, since it is no exit, and
// waits for the answer: two cells away from the client and one back. It is called
// once at a time.
func (c *Circuit) Touch(ctx context.Context) error {
	var s *circuit.Stream
	err := c.car.Do(func() (err error) {
		if s, err = c.o.Begin(cell.Begin{Host: "192.0.2.1", Port: 9}); err != nil {
			return err
		}
		s.Notify = func(bool, bool) {
			select {
			case c.touch <- struct{}{}:
			default:
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for {
		if err := c.await(ctx, c.touch); err != nil {
			return err
		}
		over := false
		err := c.car.Do(func() error {
			if over = s.Err() != nil || s.Ended(); over {
				return s.Abandon(circuit.EndDone)
			}
			return nil
		})
		if over || err != nil {
			return err
		}
	}
}

// read takes the first relay's cells until the circuit ends.
func (c *Circuit) read() {
	for c.st.WaitCells() == nil && c.batch() {
	}
	c.car.Fail(circuit.EndInternal)
	c.st.Close()
}

func (c *Circuit) batch() bool {
	buf := c.s.cells.Get().(*[]byte)
	defer c.s.cells.Put(buf)
	cells, err := c.st.ReadCells(*buf)
	if err != nil || !c.car.Enter() {
		return false
	}
	defer c.car.Leave()
	for ; len(cells) > 0; cells = cells[cell.Size:] {
		if c.o.Receive(time.Now(), cells[:cell.Size]) != nil {
			return false
		}
		for _, e := range c.o.Events() {
			switch e.Kind {
			case circuit.EventExtended:
				select {
				case c.grown <- struct{}{}:
				default:
				}
			case circuit.EventTruncated:
				return false
			}
		}
	}
	return true
}
