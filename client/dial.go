// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/circuit/cell"
	"chive/client/proxy"
	"chive/directory/record"
	"chive/directory/snapshot"
)

const (
	startPatience  = 60 * time.Second // a request made while starting waits so long
	openPatience   = 20 * time.Second // an exit has so long to connect
	answerPatience = 15 * time.Second // and so long to resolve
)

// Conn is a TCP stream through the network: a net.Conn with half-close. Close it
// once; it also implements io.WriterTo and io.ReaderFrom. Where the host has reset the
// connection, the errors of Read and Write have the Reason refused_by_target.
type Conn struct {
	*carrier.Stream
	q       *circ
	story   *story
	release func(broke *Failure)
}

// Read takes received bytes, as carrier.Stream does.
func (s *Conn) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.story.took(n)
	s.story.heard(err)
	return n, reset(err)
}

// Write sends bytes, as carrier.Stream does.
func (s *Conn) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.story.gave(n)
	return n, reset(err)
}

// WriteTo writes everything received to w, as carrier.Stream does.
func (s *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := s.Stream.WriteTo(&meter{w: w, count: s.story.took})
	s.story.heard(err)
	return n, err
}

// ReadFrom sends what r yields, as carrier.Stream does.
func (s *Conn) ReadFrom(r io.Reader) (int64, error) {
	return s.Stream.ReadFrom(&meter{r: r, count: s.story.gave})
}

// meter counts what passes, once a call.
type meter struct {
	r     io.Reader
	w     io.Writer
	count func(int)
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	m.count(n)
	return n, err
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.count(n)
	return n, err
}

// Fail says why what came over the stream did not serve its user, in the words of Refusal:
// its story is then one of a stream that failed. It comes before Close.
func (s *Conn) Fail(reason, text, fix string) { s.story.failed(failure(reason, text, fix)) }

// Close ends both directions. What was written still arrives.
func (s *Conn) Close() error {
	broke := s.q.broke(s.Stream)
	err := s.Stream.Close()
	s.release(broke)
	return err
}

// Dial opens a TCP stream to host:port through an exit and returns once the far
// side has connected. host is a name or an address as text; names are resolved at
// the exit. early, at most cell.MaxEarly(host) bytes, travels with the request.
// Streams of different keys never share a circuit. The error is a *Failure, or
// ctx's.
func (c *Client) Dial(ctx context.Context, key Isolation, host string, port uint16, early []byte) (*Conn, error) {
	story := c.stories.begin(ctx, KindConnect, net.JoinHostPort(host, strconv.Itoa(int(port))))
	if f := c.refused(host); f != nil {
		c.counts.stream(f)
		story.refused(f)
		return nil, f
	}
	var conn *Conn
	err := c.try(ctx, story, key, need{protocol: 6, port: port}, func(ctx context.Context, q *circ) (keep bool, err error) {
		s, err := q.open(func() (*circuit.Stream, error) {
			return q.o.Begin(cell.Begin{Host: host, Port: port, Early: early})
		})
		if err != nil {
			return false, err
		}
		if err := q.await(ctx, story, openPatience, s.waitOpen); err != nil {
			err = c.mark(host, err)
			if len(early) > 0 && !notConnected(err) {
				// The exit may have delivered the early data: a second
				// try could deliver them twice.
				return false, errors.Join(errMaybeDelivered, err)
			}
			return false, err
		}
		conn = &Conn{Stream: s.Stream, q: q, story: story, release: c.releaser(q, story)}
		return true, nil
	})
	c.counts.stream(err)
	if err != nil {
		story.answered(err)
		return nil, err
	}
	story.opened()
	story.gave(len(early))
	return conn, nil
}

// Resolve asks an exit for the addresses of name. ttl is what the exit reports.
func (c *Client) Resolve(ctx context.Context, key Isolation, name string) (addrs []netip.Addr, ttl time.Duration, err error) {
	r, err := c.ask(ctx, key, name, cell.Resolve{Kind: cell.ResolveName, Name: name})
	return r.Addrs, time.Duration(r.TTLSeconds) * time.Second, err
}

// ResolveAddr asks an exit for the names of addr, unless that is private.
func (c *Client) ResolveAddr(ctx context.Context, key Isolation, addr netip.Addr) (names []string, ttl time.Duration, err error) {
	text := addr.Unmap().String()
	if f := c.refused(text); f != nil {
		c.stories.begin(ctx, KindResolve, text).refused(f)
		return nil, 0, f
	}
	r, err := c.ask(ctx, key, text, cell.Resolve{Kind: cell.ResolveReverse, Name: text})
	return r.Names, time.Duration(r.TTLSeconds) * time.Second, err
}

func (c *Client) ask(ctx context.Context, key Isolation, target string, question cell.Resolve) (cell.Resolved, error) {
	story := c.stories.begin(ctx, KindResolve, target)
	var answer cell.Resolved
	err := c.try(ctx, story, key, nameNeed(c.current().view.Table()), func(ctx context.Context, q *circ) (bool, error) {
		s, err := q.open(func() (*circuit.Stream, error) { return q.o.Resolve(question) })
		if err != nil {
			return false, err
		}
		err = q.await(ctx, story, answerPatience, func(ctx context.Context) (err error) {
			answer, err = s.WaitAnswer(ctx)
			return err
		})
		if err == nil && circuit.EndReason(answer.Reason) != circuit.EndDone {
			err = &circuit.StreamError{Reason: circuit.EndReason(answer.Reason), Remote: true}
		}
		if err != nil {
			_ = s.Close()
			err = c.mark(target, err)
		}
		return false, err
	})
	story.answered(err)
	return answer, err
}

// nameNeed is what a look-up asks of an exit. It names no port, so any exit will do: one
// for the web shares the circuits built ahead, and where none of those runs the look-up
// goes to whatever exit there is.
func nameNeed(table *snapshot.Table) need {
	out := needWeb
	for i := range table.Len() {
		r := table.At(i)
		if r.Flags&snapshot.FlagRunning == 0 || r.Flags&snapshot.FlagExit == 0 || len(r.Policy) == 0 {
			continue
		}
		if serves(r, needWeb) {
			return needWeb
		}
		if out == needWeb {
			out = need{protocol: r.Policy[0].Protocol, port: r.Policy[0].First}
		}
	}
	return out
}

// releaser returns a function that, once, detaches a stream from q and ends its story.
func (c *Client) releaser(q *circ, story *story) func(broke *Failure) {
	var once sync.Once
	return func(broke *Failure) {
		once.Do(func() {
			story.closed(broke)
			c.detach(q)
		})
	}
}

// broke returns what the loss of q cut short, or nil.
func (q *circ) broke(s *carrier.Stream) *Failure {
	q.mu.Lock()
	lost := q.lost
	q.mu.Unlock()
	if lost == nil || lost.local || s.Complete() {
		return nil
	}
	return errBroken
}

// opening is a stream that is not open yet.
type opening struct{ *carrier.Stream }

// open begins a stream on q.
func (q *circ) open(begin func() (*circuit.Stream, error)) (opening, error) {
	var s *carrier.Stream
	err := q.car.Do(func() error {
		m, err := begin()
		if err != nil {
			return err
		}
		s = q.car.Wrap(m)
		return nil
	})
	return opening{s}, err
}

// waitOpen waits for CONNECTED, and closes the stream if that does not come.
func (s opening) waitOpen(ctx context.Context) error {
	err := s.WaitOpen(ctx)
	if err != nil {
		_ = s.Close()
	}
	return err
}

// try runs f on up to maxTries circuits with distinct paths. The circuit is given
// back unless f keeps it. An exit that is busy is asked again maxBusy times before
// another one is: it admits only so many requests of a circuit at once, and a
// program that opens many gets them all in the end.
// The story s is told how it went.
func (c *Client) try(ctx context.Context, s *story, key Isolation, n need, f func(context.Context, *circ) (keep bool, err error)) error {
	if err := c.awaitReady(ctx, s); err != nil {
		return err
	}
	c.mu.Lock()
	age := c.age
	c.mu.Unlock()
	var last *Failure
	var avoid avoided
	busy := 0
	for tries := 0; tries < maxTries; {
		q, err := c.attach(ctx, s, age, key, n, avoid)
		if err != nil && avoid.silent != nil && ctx.Err() == nil {
			avoid.silent = nil // there may be no path without them
			q, err = c.attach(ctx, s, age, key, n, avoid)
		}
		if err != nil {
			if last != nil {
				return last // the reason of the stream says more
			}
			return err
		}
		s.asks(q.id)
		began := time.Now()
		keep, err := f(ctx, q)
		if !keep {
			c.detach(q)
		}
		var v verdict
		if err != nil {
			v = judge(err)
		}
		step := explainExit(q, n, v.fail, time.Since(began))
		if v.silent {
			step.Text = silentText(v, tries+1 < maxTries)
		}
		if v.hangs {
			step.Hop, step.Relay = 1, relayName(q.path[0].RID)
		}
		s.tried(step)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		last = v.fail
		if errors.Is(err, errMaybeDelivered) {
			last = v.fail.maybeArrived()
		}
		if v.silent {
			c.retire(q)
		}
		if v.final {
			return last
		}
		if v.later && busy < maxBusy {
			busy++
			if err := pause(ctx, c.busyPause(busy)); err != nil {
				return err
			}
			continue
		}
		busy = 0
		tries++
		switch {
		case v.hangs: // the others are not to blame, and the next circuit begins elsewhere
		case v.silent:
			for _, r := range q.behindGuard() {
				avoid.silent = append(avoid.silent, r.RID)
			}
		case v.later || v.skipExit:
			avoid.exits = append(avoid.exits, q.last().RID)
		default:
			c.retire(q)
		}
	}
	return last
}

// maxBusy requests to a busy exit take about four seconds.
const maxBusy = 8

// busyPause returns how long a request waits before it asks a busy exit for the
// nth time again: longer each time, and never as long as those that it came with.
func (c *Client) busyPause(n int) time.Duration {
	const unit = 100 * time.Millisecond
	return time.Duration(n) * (unit/2 + c.random(unit/2))
}

// random returns a duration below d.
func (c *Client) random(d time.Duration) time.Duration {
	var b [8]byte
	_, _ = io.ReadFull(c.cfg.Rand, b[:]) // without it everybody would only be less apart
	return time.Duration(binary.BigEndian.Uint64(b[:]) % uint64(d))
}

// below returns a number from 0 to n-1.
func (c *Client) below(n int) int { return int(c.random(time.Duration(n))) }

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// explainExit says what became of a request for n to the exit of q; f is nil if it succeeded.
func explainExit(q *circ, n need, f *Failure, took time.Duration) TryExplained {
	t := TryExplained{Phase: phaseConnect, Hop: len(q.path), Relay: relayName(q.last().RID), Took: took, Text: "it was answered"}
	if n.protocol == record.UDP {
		t.Text = "the exit takes datagrams" // which says nothing of the destination
	}
	switch f {
	case nil:
		return t
	case errCircuitSilent: // nobody can tell which relay it was
		t.Phase, t.Hop, t.Relay = phaseCircuit, 0, ""
	case errRefused, errNotFound, errLocalhost, errUnreachable, errTimeout:
	default:
		t.Phase = phaseExit
	}
	t.Reason, t.Text = f.reason, f.text
	return t
}

// silentText says what becomes of a request whose circuit is silent; more is whether another
// circuit may have it.
func silentText(v verdict, more bool) string {
	text := "nothing came back on this circuit any more: a relay of it has stopped"
	if v.hangs {
		text = "nothing comes from the guard of this circuit any more: it has stopped, or the connection to it is down"
	}
	switch {
	case v.final:
		return text + "; what went with the request may have arrived, so that it is not sent again"
	case more:
		return text + "; another circuit is tried"
	}
	return text
}

// awaitReady waits while the client is starting.
func (c *Client) awaitReady(ctx context.Context, s *story) (err error) {
	select {
	case <-c.ready:
		return nil
	default:
	}
	began := time.Now()
	defer func() {
		t := TryExplained{Phase: phaseBootstrap, Took: time.Since(began), Text: "the client was starting"}
		var f *Failure
		if errors.As(err, &f) {
			t.Reason, t.Text = f.reason, f.text
		}
		s.tried(t)
	}()
	t := time.NewTimer(startPatience)
	defer t.Stop()
	select {
	case <-c.ready:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.over:
		return errEnding()
	case <-t.C:
		return errStarting(c.startTrouble())
	}
}

// refused returns why host must not leave this machine, or nil. A testnet's exits reach
// loopback, and nothing else that is not public. Spec: product SOCKS-14.
func (c *Client) refused(host string) *Failure {
	a, err := netip.ParseAddr(host)
	if err != nil || proxy.Public(a) || c.doc.Testnet && a.Unmap().IsLoopback() {
		return nil
	}
	return errPrivate
}
