// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"chive/circuit"
	"chive/directory/record"
)

// StreamExplained is the story of a request: how it went, phase by phase. It names the
// destination, and is for the local user alone.
//
// Spec: product §4.6.
type StreamExplained struct {
	ID        string // random, known to this process only
	Kind      string // KindConnect, KindResolve or KindUDP
	Target    string // host:port, or the name or address that was looked up; of a UDP association, where its first datagram went
	Listener  string // as WithListener says; empty: none
	CircuitID string // of CircuitExplained; empty: none yet
	Began     time.Time
	Ended     time.Time // zero: it goes on
	State     string    // StreamWaiting and so on
	Reason    string    // why it failed or broke, of Failure.Reason; given_up: the program ended it; reset: the far side did; unanswered: datagrams went and none came
	Text      string    // the same in a sentence
	Fix       string    // what to do
	Took      time.Duration
	// FirstByte is when the first byte came back, from Began; zero: none has.
	FirstByte time.Duration
	Up, Down  uint64 // bytes
	Tries     []TryExplained
	// Times is how often the same was refused here, before a relay was asked; Began and Ended
	// are those of the last time. 0: it is one request.
	Times int
}

// TryExplained is one step of a StreamExplained.
type TryExplained struct {
	Phase  string        // client, bootstrap, circuit, exit, connect or answer
	Hop    int           // position of Relay, 1 for the guard; 0: none in particular
	Relay  string        // hexadecimal
	Took   time.Duration // how long the step went on
	Reason string        // why it failed; waiting: nobody knew yet, and the next step says; empty: it did not
	Text   string        // what happened, a sentence
}

// Kinds of a StreamExplained.
const (
	KindConnect = "connect"
	KindResolve = "resolve"
	KindUDP     = "udp"
)

// States of a StreamExplained.
const (
	StreamWaiting    = "waiting"    // for the client to start, or for a circuit
	StreamConnecting = "connecting" // the exit was asked
	StreamOpen       = "open"
	StreamClosed     = "closed"
	StreamFailed     = "failed"
)

// Phases of a TryExplained.
const (
	phaseClient    = "client" // it was refused here: no relay was asked
	phaseBootstrap = "bootstrap"
	phaseCircuit   = "circuit" // one was built, or waited for
	phaseExit      = "exit"    // the exit itself refused, was busy or was lost
	phaseConnect   = "connect" // the exit reached for the destination
	phaseAnswer    = "answer"  // what the destination answered, where the proxy reads it
)

// reasonWaiting is the Reason of a step that has not ended: the next one is how it went on.
const reasonWaiting = "waiting"

const (
	maxKeptStories = 200              // that failed or were slow
	maxAsides      = 50               // of those, that nobody waits for (Refusal.Aside)
	maxOpenStories = 4096             // further requests are served, and not explained while they go on
	maxStoryTries  = 24               // steps of one
	slowStory      = 10 * time.Second // to connect
)

// unanswered is the Reason of an association over which datagrams went and none came.
const unanswered = "unanswered"

// stories are the requests that go on and the last ones that failed or were slow. They
// are in memory only.
type stories struct {
	up, down atomic.Uint64 // bytes of all streams
	streams  atomic.Int64  // open ones
	tell     func(Event)   // nil: nobody listens

	mu   sync.Mutex
	open map[string]*story
	kept []*story // the oldest first
	age  uint64   // how often all was forgotten
}

// story is one of them. All methods may be called on nil.
type story struct {
	all  *stories
	up   atomic.Uint64
	down atomic.Uint64
	byte atomic.Int64            // when the first one came, in ns after the beginning
	cut  atomic.Bool             // the far side gave the stream up
	bad  atomic.Pointer[Failure] // what came did not serve; nil: nobody said so

	// Under all.mu.
	e    StreamExplained
	age  uint64
	kept bool
	// here is that of a Refused, aside that of one that nobody waits for.
	here, aside bool
}

// listenerKey is the context's key for WithListener.
type listenerKey struct{}

// WithListener returns a context whose requests say in their stories that they came
// through the listener of that name.
func WithListener(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, listenerKey{}, name)
}

// localID returns a random name for something that the local user is shown.
func localID() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // it never fails
	return hex.EncodeToString(b[:])
}

// begin opens the story of a request.
func (a *stories) begin(ctx context.Context, kind, target string) *story {
	s := &story{all: a, e: StreamExplained{ID: localID(), Kind: kind, Target: target, Began: time.Now(), State: StreamWaiting}}
	s.e.Listener, _ = ctx.Value(listenerKey{}).(string)
	a.mu.Lock()
	s.age = a.age
	if len(a.open) < maxOpenStories {
		if a.open == nil {
			a.open = make(map[string]*story)
		}
		a.open[s.e.ID] = s
	}
	a.mu.Unlock()
	a.changed(s.e.ID, StreamWaiting)
	return s
}

func (a *stories) changed(id, state string) {
	if a.tell != nil {
		a.tell(Event{Kind: EventStream, ID: id, State: state})
	}
}

// tried adds a step.
func (s *story) tried(all ...TryExplained) {
	if s == nil {
		return
	}
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	for _, t := range all {
		if len(s.e.Tries) < maxStoryTries {
			s.e.Tries = append(s.e.Tries, t)
		}
	}
}

// asks says that the request has a circuit and goes to its exit.
func (s *story) asks(circuit string) {
	if s == nil {
		return
	}
	s.all.mu.Lock()
	s.e.State, s.e.CircuitID = StreamConnecting, circuit
	s.all.mu.Unlock()
}

// opened says that the far side is connected.
func (s *story) opened() {
	if s == nil {
		return
	}
	s.all.streams.Add(1)
	s.all.mu.Lock()
	s.e.State, s.e.Took = StreamOpen, time.Since(s.e.Began)
	s.all.keepIf(s, s.e.Took > slowStory)
	s.all.mu.Unlock()
	s.all.changed(s.e.ID, StreamOpen)
}

// closed ends the story of a stream that was open; f says what broke it, if anything.
func (s *story) closed(f *Failure) {
	if s == nil {
		return
	}
	s.all.streams.Add(-1)
	s.all.mu.Lock()
	s.e.State = StreamClosed
	bad := s.bad.Load()
	switch {
	case bad != nil:
		s.e.State = StreamFailed
		s.e.Reason, s.e.Text, s.e.Fix = bad.reason, bad.text, bad.fix
	case f != nil:
		s.e.State = StreamFailed
		s.e.Reason, s.e.Text, s.e.Fix = f.reason, f.text, f.fix
	case s.e.Kind == KindUDP && s.up.Load() > 0 && s.down.Load() == 0:
		// Nobody can tell whether that is a failure: what expects no answer may have arrived.
		s.e.Reason, s.e.Text, s.e.Fix = unanswered, errSilent.text, errSilent.fix
	case s.cut.Load():
		s.e.Reason, s.e.Text = "reset", "the far side broke the connection off"
	}
	s.all.over(s)
}

// failed notes why what came over an open stream did not serve.
func (s *story) failed(f *Failure) {
	if s == nil || !s.bad.CompareAndSwap(nil, f) {
		return
	}
	s.all.mu.Lock()
	took := time.Since(s.e.Began) - s.e.Took
	s.all.mu.Unlock()
	s.tried(TryExplained{Phase: phaseAnswer, Took: took, Reason: f.reason, Text: "the exit had connected; the proxy reads plain HTTP's answers"})
}

// answered ends the story of a request that has no stream, or of one that failed. err
// is a *Failure or a context's.
func (s *story) answered(err error) {
	if s == nil {
		return
	}
	s.all.mu.Lock()
	var f *Failure
	switch {
	case err == nil:
		s.e.State, s.e.Took = StreamClosed, time.Since(s.e.Began)
	case errors.As(err, &f):
		s.e.State, s.e.Reason, s.e.Text, s.e.Fix = StreamFailed, f.reason, f.text, f.fix
	case errors.Is(err, context.DeadlineExceeded):
		s.e.State, s.e.Reason, s.e.Text = StreamFailed, "timeout", "the program's own deadline passed"
		s.e.Fix = "give it more time: a connection through several relays takes longer"
	default:
		s.e.State, s.e.Reason, s.e.Text = StreamClosed, "given_up", "the program gave up before there was an answer"
	}
	s.all.over(s)
}

// refused ends the story of a request that no relay was asked for.
func (s *story) refused(f *Failure) {
	s.tried(TryExplained{Phase: phaseClient, Reason: f.reason, Text: "it was refused here: no relay was asked"})
	s.answered(f)
}

// Refusal is why a program's request was refused before it reached Dial and its like.
type Refusal struct {
	Kind   string // as StreamExplained has it
	Target string // the same
	Reason string // of product §4.6
	Text   string // what is wrong, a sentence
	Fix    string // what to do
	// Aside says that a machine asks so by itself, again and again, and nobody waits for it:
	// few such stories are kept, and none is LastStream.
	Aside bool
}

// Refused keeps the story of a request that was refused before it got here, under the
// same bounds as those of others; of what was refused before and is still kept the same story,
// with one more of Times. ctx may be of WithListener. Spec: product §4.6.
func (c *Client) Refused(ctx context.Context, r Refusal) {
	listener, _ := ctx.Value(listenerKey{}).(string)
	if id, again := c.stories.refusedAgain(&r, listener); again {
		if !r.Aside {
			c.stories.changed(id, StreamFailed)
		}
		return
	}
	s := c.stories.begin(ctx, r.Kind, r.Target)
	c.stories.mu.Lock()
	s.here, s.aside, s.e.Times = true, r.Aside, 1
	c.stories.mu.Unlock()
	s.refused(failure(r.Reason, r.Text, r.Fix))
}

// refusedAgain counts a refusal whose story is kept, and makes that the newest.
func (a *stories) refusedAgain(r *Refusal, listener string) (id string, again bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.kept, func(s *story) bool {
		e := &s.e
		return s.here && s.aside == r.Aside && e.Kind == r.Kind && e.Target == r.Target && e.Listener == listener && e.Reason == r.Reason
	})
	if i < 0 {
		return "", false
	}
	s, now := a.kept[i], time.Now()
	s.e.Began, s.e.Ended = now, now
	s.e.Times++
	a.kept = append(slices.Delete(a.kept, i, i+1), s)
	return s.e.ID, true
}

// over takes s out of those that go on, and gives the lock back.
func (a *stories) over(s *story) {
	s.e.Ended = time.Now()
	connect := s.e.Took
	if connect == 0 {
		connect = s.e.Ended.Sub(s.e.Began)
	}
	a.keepIf(s, s.e.State == StreamFailed || s.e.Reason == unanswered || connect > slowStory)
	delete(a.open, s.e.ID)
	state := s.e.State
	a.mu.Unlock()
	a.changed(s.e.ID, state)
}

// keepIf keeps s among the last ones, unless all has been forgotten since it began.
// Under mu.
func (a *stories) keepIf(s *story, remarkable bool) {
	if !remarkable || s.kept || s.age != a.age {
		return
	}
	s.kept = true
	if s.aside {
		asides, oldest := 0, -1
		for i, o := range a.kept {
			if o.aside {
				if asides++; oldest < 0 {
					oldest = i
				}
			}
		}
		if asides >= maxAsides {
			a.kept = slices.Delete(a.kept, oldest, oldest+1)
		}
	}
	if len(a.kept) >= maxKeptStories {
		a.kept = slices.Delete(a.kept, 0, 1+len(a.kept)-maxKeptStories)
	}
	a.kept = append(a.kept, s)
}

// forget drops what has ended, and of what goes on how it came about.
func (a *stories) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.age++
	a.kept = nil
	for _, s := range a.open {
		s.e.Tries = nil
	}
}

// took counts bytes that came from the far side.
func (s *story) took(n int) {
	if s == nil || n <= 0 {
		return
	}
	if s.down.Add(uint64(n)) == uint64(n) {
		s.byte.CompareAndSwap(0, max(1, int64(time.Since(s.e.Began)))) // Began never changes
	}
	s.all.down.Add(uint64(n))
}

// heard notes that the far side gave the stream up.
func (s *story) heard(err error) {
	var ended *circuit.StreamError
	if s != nil && err != nil && errors.As(err, &ended) && ended.Remote {
		s.cut.Store(true)
	}
}

// gave counts bytes that went to the far side.
func (s *story) gave(n int) {
	if s == nil || n <= 0 {
		return
	}
	s.up.Add(uint64(n))
	s.all.up.Add(uint64(n))
}

// explain returns the story as it is now. Under all.mu.
func (s *story) explain() StreamExplained {
	e := s.e
	e.Tries = slices.Clone(e.Tries)
	e.Up, e.Down, e.FirstByte = s.up.Load(), s.down.Load(), time.Duration(s.byte.Load())
	return e
}

// list returns all stories, the newest first.
func (a *stories) list() []StreamExplained {
	a.mu.Lock()
	out := make([]StreamExplained, 0, len(a.open)+len(a.kept))
	for _, s := range a.open {
		out = append(out, s.explain())
	}
	for _, s := range a.kept {
		if a.open[s.e.ID] == nil {
			out = append(out, s.explain())
		}
	}
	a.mu.Unlock()
	slices.SortFunc(out, func(x, y StreamExplained) int {
		return cmp.Or(y.Began.Compare(x.Began), cmp.Compare(x.ID, y.ID))
	})
	return out
}

// find returns a story by its ID, or the last one that is kept.
func (a *stories) find(id string) (StreamExplained, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s := a.open[id]; s != nil {
		return s.explain(), true
	}
	for i := len(a.kept) - 1; i >= 0; i-- {
		if s := a.kept[i]; id == LastStream && !s.aside || s.e.ID == id {
			return s.explain(), true
		}
	}
	return StreamExplained{}, false
}

// LastStream stands for the last request that failed or was slow, and that somebody waited for.
const LastStream = "last"

// Streams returns the stories of open streams and of requests under way, and of the last
// 200 requests that failed or took more than 10 s to connect, the newest first.
func (c *Client) Streams() []StreamExplained { return c.stories.list() }

// Stream returns the story of one request. id may be LastStream. It is false when there
// is none: it went well and is over, it is too long ago, or NewIdentity was called since.
func (c *Client) Stream(id string) (StreamExplained, bool) { return c.stories.find(id) }

// relayName writes a relay's number for a story.
func relayName(r record.RID) string { return hex.EncodeToString(r[:]) }
