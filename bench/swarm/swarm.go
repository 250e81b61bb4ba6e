// SPDX-License-Identifier: BSD-3-Clause

package swarm

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"os"
	"sync"
	"sync/atomic"

	"chive/circuit"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/link"
)

// PerLink is how many circuits share one link: somewhat less than a relay lets a
// client have.
const PerLink = link.MaxClientStreams * 9 / 10

var (
	// ErrGenesis says that the genesis document cannot be used.
	ErrGenesis = errors.New("swarm: no usable genesis document")
	// ErrRelay says that the genesis document names no such relay.
	ErrRelay = errors.New("swarm: no such relay")
	// ErrCircuit says that a circuit was not built or has ended.
	ErrCircuit = errors.New("swarm: a circuit was not built or has ended")
)

// Swarm is a set of circuits and the links to their first relays.
type Swarm struct {
	nid     [32]byte
	table   *snapshot.Table
	params  circuit.Params
	buffers circuit.Buffers
	cells   sync.Pool

	mu       sync.Mutex
	links    map[record.RID][]*shared
	circuits []*Circuit
	tasks    sync.WaitGroup
}

// shared is a link that circuits share.
type shared struct {
	link *link.Link
	used int // circuits begun on it
}

// Open reads the genesis document in file. It does not connect yet.
func Open(file string) (*Swarm, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, ErrGenesis
	}
	doc, err := genesis.Parse(data)
	if err != nil {
		return nil, ErrGenesis
	}
	p := &doc.Params
	return &Swarm{
		nid: doc.NetworkID(), table: snapshot.FromGenesis(doc), links: make(map[record.RID][]*shared),
		params: circuit.Params{
			WindowInit: p.WindowInit, WindowMin: p.WindowMin, WindowMax: p.WindowMax,
			AckEvery: p.AckEvery, Alpha: p.Alpha, Beta: p.Beta, Gamma: p.Gamma, Delta: p.Delta,
			CreditSize: p.StreamCredit,
		},
		cells: sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }},
	}, nil
}

// Relay returns the relay that takes links at port.
func (s *Swarm) Relay(port uint16) (*snapshot.Relay, error) {
	for i := range s.table.Len() {
		r := s.table.At(i)
		for _, a := range r.Addresses {
			if a.Port() == port {
				return r, nil
			}
		}
	}
	return nil, ErrRelay
}

// place returns a link to r with room for a circuit, and makes one if need be.
func (s *Swarm) place(ctx context.Context, r *snapshot.Relay) (*link.Link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.links[r.RID] {
		if l.used < PerLink {
			l.used++
			return l.link, nil
		}
	}
	s.mu.Unlock()
	l, err := s.dial(ctx, r)
	s.mu.Lock()
	if err != nil {
		return nil, err
	}
	s.links[r.RID] = append(s.links[r.RID], &shared{link: l, used: 1})
	return l, nil
}

func (s *Swarm) dial(ctx context.Context, r *snapshot.Relay) (*link.Link, error) {
	cfg := link.Config{
		NetworkID: s.nid, Rand: rand.Reader,
		Verify: func(id ed25519.PublicKey) error {
			if record.NewRID(s.nid, id) != r.RID {
				return ErrRelay
			}
			return nil
		},
	}
	err := error(ErrRelay)
	for _, a := range r.Addresses {
		var l *link.Link
		if l, err = link.Dial(ctx, link.TCP{}, a, cfg); err == nil {
			return l, nil
		}
	}
	return nil, err
}

// Build adds n circuits along path, as many at once as workers says, and returns
// when all are there or one has failed.
func (s *Swarm) Build(ctx context.Context, n, workers int, path ...*snapshot.Relay) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var tasks sync.WaitGroup
	for range min(n, workers) {
		tasks.Go(func() {
			for next.Add(1) <= int64(n) && ctx.Err() == nil {
				if err := s.build(ctx, path); err != nil {
					cancel(err)
				}
			}
		})
	}
	tasks.Wait()
	return context.Cause(ctx)
}

func (s *Swarm) build(ctx context.Context, path []*snapshot.Relay) error {
	l, err := s.place(ctx, path[0])
	if err != nil {
		return err
	}
	c, err := s.newCircuit(l)
	if err != nil {
		return err
	}
	for _, r := range path {
		t := circuit.Target{RID: r.RID, Onion: r.Onion, Addrs: r.Addresses}
		if err := c.extend(ctx, t); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.circuits = append(s.circuits, c)
	return nil
}

// Len returns how many circuits there are.
func (s *Swarm) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.circuits)
}

// Alive returns how many circuits have not ended.
func (s *Swarm) Alive() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.circuits {
		select {
		case <-c.car.Dead():
		default:
			n++
		}
	}
	return n
}

// Circuits returns the circuits that were built, in no order.
func (s *Swarm) Circuits() []*Circuit {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*Circuit(nil), s.circuits...)
}

// Close ends every link, and with them every circuit.
func (s *Swarm) Close() {
	s.mu.Lock()
	for _, all := range s.links {
		for _, l := range all {
			_ = l.link.Close()
		}
	}
	s.links = make(map[record.RID][]*shared)
	s.circuits = nil
	s.mu.Unlock()
	s.tasks.Wait()
}
