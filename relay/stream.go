// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"errors"
	"net"
	"net/netip"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/relay/exit"
)

// job is what an event asks for beyond the state machine; it may block. ctx ends
// with the circuit.
type job func(ctx context.Context)

// start runs j in a goroutine of its own.
func (c *circ) start(j job) {
	c.mu.Lock()
	if c.running == 0 { // a circuit without jobs needs no context
		c.ctx, c.cancel = context.WithCancel(c.from.ctx)
	}
	c.running++
	ctx, cancel := c.ctx, c.cancel
	c.mu.Unlock()
	c.tasks.Go(func() {
		j(ctx)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running--; c.running == 0 {
			cancel()
			c.ctx, c.cancel = nil, nil
		}
	})
}

// jobs turns events into jobs. It runs under the circuit's lock, so that a
// stream's notifications are in place before more data can arrive.
func (c *circ) jobs(events []circuit.Event) []job {
	var out []job
	for _, e := range events {
		if c.r.cfg.Observer != nil {
			c.r.cfg.Observer.Message(e)
		}
		switch e.Kind {
		case circuit.EventExtend:
			out = append(out, func(ctx context.Context) { c.extend(ctx, e.Extend) })
		case circuit.EventBegin:
			if c.exit == nil {
				_ = e.Stream.Abandon(circuit.EndPolicy)
				continue
			}
			s := c.car.Wrap(e.Stream)
			out = append(out, func(ctx context.Context) { c.connect(ctx, s, e.Begin) })
		case circuit.EventBeginUDP:
			if c.exit == nil {
				_ = e.Stream.Abandon(circuit.EndPolicy)
				continue
			}
			s := c.car.Wrap(e.Stream)
			out = append(out, func(ctx context.Context) { c.associate(ctx, s) })
		case circuit.EventResolve:
			if c.exit == nil {
				_ = e.Stream.Resolved(cell.Resolved{Reason: byte(circuit.EndPolicy)})
				continue
			}
			out = append(out, func(ctx context.Context) { c.resolve(ctx, e.Stream, e.Resolve) })
		case circuit.EventBeginDir:
			s := c.car.Wrap(e.Stream)
			if err := e.Stream.Connected(netip.Addr{}); err != nil {
				continue
			}
			if c.dirs == nil {
				c.dirs = c.from.dirs.circuit()
			}
			out = append(out, func(ctx context.Context) {
				c.r.serveDirectory(ctx, s, c.dirs)
				_ = s.Close()
				s.Discard()
			})
		}
	}
	return out
}

// connect joins a stream to its destination until both directions have ended.
func (c *circ) connect(ctx context.Context, s *carrier.Stream, b cell.Begin) {
	defer s.Discard()
	conn, err := c.exit.Dial(ctx, b.Host, b.Port, b.Flags&cell.BeginPreferIPv6 != 0)
	if err != nil {
		_ = s.Reset(endReason(err))
		return
	}
	defer conn.Close()
	c.r.memory.circuits.Add(joinedHeld)
	defer c.r.memory.circuits.Add(-joinedHeld)
	over := false
	err = c.car.Do(func() error {
		over = s.Machine().Over()
		return s.Machine().Connected(remoteAddr(conn))
	})
	if err != nil || over { // the client gave up while we dialled: nothing is delivered
		abort(conn)
		return
	}
	// Both goroutines below may wait for the destination when the client's side
	// breaks.
	s.OnEnd(func() {
		if s.Complete() {
			_ = conn.Close() // what the client sent in full still arrives
			return
		}
		abort(conn)
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.fromDestination(s, conn)
	}()
	c.toDestination(s, conn)
	<-done
}

// toDestination writes what the client sends, and its end.
func (c *circ) toDestination(s *carrier.Stream, conn net.Conn) {
	_, err := s.WriteTo(carrying{conn, &c.r.count})
	if err == nil || fromCircuit(err) && s.Complete() {
		err = nil
		if h, ok := conn.(interface{ CloseWrite() error }); ok {
			err = h.CloseWrite()
		}
	}
	if err == nil {
		return
	}
	if fromCircuit(err) {
		// The client's side broke or gave up: the destination must not take
		// what it got for everything.
		abort(conn)
		return
	}
	_ = s.Reset(circuit.EndReset)
	_ = conn.Close()
}

// fromDestination sends what the destination sends, and its end.
func (c *circ) fromDestination(s *carrier.Stream, conn net.Conn) {
	_, err := s.ReadFrom(carrying{conn, &c.r.count})
	switch {
	case err == nil:
		_ = s.CloseWrite()
	case fromCircuit(err) && s.Complete():
		// toDestination still delivers what the client sent.
	case fromCircuit(err):
		abort(conn)
	default:
		_ = s.Reset(circuit.EndReset)
		abort(conn)
	}
}

// carrying counts what an exit carries to and from a destination.
type carrying struct {
	conn  net.Conn
	count *counters
}

func (w carrying) Write(b []byte) (int, error) {
	n, err := w.conn.Write(b)
	w.count.carried(n)
	return n, err
}

func (w carrying) Read(b []byte) (int, error) {
	n, err := w.conn.Read(b)
	w.count.carried(n)
	return n, err
}

// fromCircuit reports whether err came from the circuit's side of a stream
// rather than from the destination's.
func fromCircuit(err error) bool {
	var ended *circuit.StreamError
	return errors.As(err, &ended) || errors.Is(err, carrier.ErrClosed) || errors.Is(err, circuit.ErrState)
}

// abort closes conn so that the other side sees a reset, not an end.
func abort(conn net.Conn) {
	if l, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = l.SetLinger(0)
	}
	_ = conn.Close()
}

// endReason maps an exit's error to the code of END.
func endReason(err error) circuit.EndReason {
	return circuit.EndReason(exit.ReasonOf(err))
}

func remoteAddr(conn net.Conn) netip.Addr {
	if a, ok := conn.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// resolve answers a name or address question.
func (c *circ) resolve(ctx context.Context, s *circuit.Stream, q cell.Resolve) {
	a := c.answer(ctx, q)
	_ = c.car.Do(func() error { return s.Resolved(a) })
}

func (c *circ) answer(ctx context.Context, q cell.Resolve) cell.Resolved {
	if q.Kind == cell.ResolveName {
		addrs, ttl, err := c.exit.Resolve(ctx, q.Name)
		if err != nil {
			return cell.Resolved{Reason: byte(endReason(err))}
		}
		return cell.Resolved{TTLSeconds: uint32(ttl.Seconds()), Addrs: addrs[:min(len(addrs), cell.MaxAnswers)]}
	}
	addr, err := netip.ParseAddr(q.Name)
	if err != nil {
		return cell.Resolved{Reason: byte(circuit.EndUnresolvable)}
	}
	names, ttl, err := c.exit.ResolveAddr(ctx, addr)
	if err != nil {
		return cell.Resolved{Reason: byte(endReason(err))}
	}
	return cell.Resolved{TTLSeconds: uint32(ttl.Seconds()), Names: names[:min(len(names), cell.MaxAnswers)]}
}

// associate serves a UDP association until the client ends it or nothing has
// passed for a minute.
func (c *circ) associate(ctx context.Context, s *carrier.Stream) {
	defer s.Discard()
	assoc, err := c.exit.OpenUDP()
	if err != nil {
		_ = s.Reset(endReason(err))
		return
	}
	defer func() { _ = assoc.Close() }()
	c.r.memory.circuits.Add(joinedHeld)
	defer c.r.memory.circuits.Add(-joinedHeld)
	if c.car.Do(func() error { return s.Machine().Connected(netip.Addr{}) }) != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			payload, from, err := assoc.Receive(ctx)
			if err != nil {
				_ = s.Reset(circuit.EndDone) // idle, or the socket failed
				return
			}
			c.r.count.carried(len(payload))
			_ = s.SendDatagram(cell.Datagram{Host: from.Addr().Unmap().String(), Port: from.Port(), Payload: payload})
		}
	}()
	for {
		d, err := s.ReceiveDatagram(ctx)
		if err != nil {
			break
		}
		// A datagram that is not permitted or not deliverable is lost, as
		// datagrams are.
		if assoc.Send(ctx, d.Host, d.Port, d.Payload) == nil {
			c.r.count.carried(len(d.Payload))
		}
	}
	_ = assoc.Close()
	<-done
}
