// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"chive/circuit/handshake"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/directory/snapshot"
	dirsync "chive/directory/sync"
	"chive/directory/vrf"
	"chive/internal/memnet"
	"chive/internal/testutil"
	"chive/link"
)

// village is a network of relays that do nothing but answer directory requests, each
// in its own way, in virtual time.
type village struct {
	t      *testing.T
	net    *memnet.Network
	doc    *genesis.Document
	relays []*fake
	tasks  sync.WaitGroup

	walkers byte
}

// fake is one of them.
type fake struct {
	v    *village
	n    int
	rid  record.RID
	addr netip.AddrPort
	key  ed25519.PrivateKey

	mu       sync.Mutex
	answers  func(now time.Time, body []byte) []byte // nil: none
	asked    int
	links    int
	evidence [][]byte
	pace     time.Duration // between two bytes of an answer; 0: all at once
	off      time.Duration // of its clock
	timeless bool          // it does not know TIME
	ln       net.Listener
}

func seedOf(purpose string, n int) [32]byte { return sha256.Sum256(fmt.Append(nil, purpose, n)) }

// keys are made once: they cost more than what is tested.
var keys sync.Map

func keyOf(purpose string, n int) ed25519.PrivateKey {
	s := seedOf(purpose, n)
	if k, ok := keys.Load(s); ok {
		return k.(ed25519.PrivateKey)
	}
	k := ed25519.NewKeyFromSeed(s[:])
	keys.Store(s, k)
	return k
}

func publicOf(k ed25519.PrivateKey) [32]byte { return [32]byte(k.Public().(ed25519.PublicKey)) }

func vrfOf(n int) *vrf.SecretKey {
	s := seedOf("vrf", n)
	return vrf.NewSecretKey(&s)
}

func placeFor(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{20, byte(n), 0, 1}), 9240)
}

// founders are relays 0 to n-1 of a network that begins with the bubble's time. Terms
// are long, so that the founders' keys last.
func document(t testing.TB, name string, n int) *genesis.Document {
	t.Helper()
	return documentOf(t, name, n, 0)
}

// documentOf is document of a network that begins so long after the bubble's time.
func documentOf(t testing.TB, name string, n int, later time.Duration) *genesis.Document {
	t.Helper()
	p := genesis.Testnet()
	p.PathNetworkRule, p.Term = true, 2000
	p.Warn, p.Refuse = 18, 40
	var all []*record.Founder
	for i := range n {
		s := seedOf("onion", i)
		roles, policy := record.RoleGuard, []record.PortRange(nil)
		if i%3 == 0 {
			roles, policy = record.RoleGuard|record.RoleExit, []record.PortRange{{Protocol: record.TCP, First: 80, Last: 443}}
		}
		all = append(all, &record.Founder{
			Identity: keyOf("identity", i).Public().(ed25519.PublicKey), Onion: handshake.NewOnionKey(&s).Public(), VRF: vrfOf(i).Public(),
			Committee:    [2][32]byte{publicOf(keyOf("committee 0 ", i)), publicOf(keyOf("committee 1 ", i))},
			DeclaredRate: 10_000, Roles: roles, Policy: policy, Addresses: []netip.AddrPort{placeFor(i)},
		})
	}
	doc, err := genesis.Plan{Name: name, Testnet: true, Params: &p, Founders: all, Time: time.Unix(946684800, 0).Add(later)}.Document()
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := doc.Sign(keyOf("identity", i)); err != nil {
			t.Fatal(err)
		}
	}
	return doc
}

// inVillage runs f in virtual time with so many founders, whose relays all hold
// snapshot 0.
func inVillage(t *testing.T, founders int, f func(t *testing.T, v *village)) {
	inVillageTo(t, 0, founders, f)
}

// inVillageTo is inVillage for a network that by the bubble's clock begins later.
func inVillageTo(t *testing.T, later time.Duration, founders int, f func(t *testing.T, v *village)) {
	testutil.Bubble(t, func(t *testing.T) {
		v := &village{t: t, doc: documentOf(t, "village", founders, later), net: memnet.New(memnet.Config{Seed: 1, Path: func(_, _ netip.Addr) memnet.Path {
			return memnet.Path{Latency: time.Millisecond}
		}})}
		for n := range founders {
			v.settle(n)
		}
		defer v.tasks.Wait()
		defer func() {
			for _, r := range v.relays {
				r.stop()
			}
		}()
		f(t, v)
	})
}

// settle starts relay n.
func (v *village) settle(n int) *fake {
	v.t.Helper()
	key := keyOf("identity", n)
	r := &fake{v: v, n: n, rid: record.NewRID(v.doc.NetworkID(), key.Public().(ed25519.PublicKey)), addr: placeFor(n), key: key}
	r.holds(dirsync.NewServer(v.doc))
	r.start(0)
	v.relays = append(v.relays, r)
	return r
}

// start has the relay listen; its clock is off by so much.
func (r *fake) start(off time.Duration) {
	id, err := link.NewIdentity(rand.Reader, r.v.doc.NetworkID(), r.key, time.Now().Add(off))
	if err != nil {
		r.v.t.Fatal(err)
	}
	ln, err := r.v.net.Host(r.addr.Addr()).Listen(r.addr)
	if err != nil {
		r.v.t.Fatal(err)
	}
	r.ln = ln
	r.mu.Lock()
	r.off = off
	r.mu.Unlock()
	r.v.tasks.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.v.tasks.Go(func() {
				l, err := link.Server(context.Background(), conn, link.Config{NetworkID: r.v.doc.NetworkID(), Identity: id, Rand: rand.Reader})
				if err != nil {
					return
				}
				r.mu.Lock()
				r.links++
				r.mu.Unlock()
				r.serve(l)
			})
		}
	})
}

func (r *fake) stop() { _ = r.ln.Close() }

func (r *fake) serve(l *link.Link) {
	for {
		st, typ, err := l.Accept()
		if err != nil {
			return
		}
		if typ != link.StreamDirectory {
			_ = st.Close()
			continue
		}
		r.v.tasks.Go(func() {
			defer st.Close()
			for {
				body, err := dirsync.ReadRequest(st)
				if err != nil {
					return
				}
				r.mu.Lock()
				r.asked++
				answer, pace, off := r.answers, r.pace, r.off
				if r.timeless && bytes.Equal(body, []byte{0x81, byte(dirsync.CodeTime)}) {
					answer = func(time.Time, []byte) []byte { return dirsync.Busy() }
				}
				r.mu.Unlock()
				if answer == nil {
					<-l.Done()
					return
				}
				out := answer(time.Now().Add(off), body)
				for ; pace > 0 && len(out) > 1; out = out[1:] {
					if _, err := st.Write(out[:1]); err != nil {
						return
					}
					v := time.NewTimer(pace)
					select {
					case <-v.C:
					case <-l.Done():
						v.Stop()
						return
					}
				}
				if _, err := st.Write(out); err != nil {
					return
				}
			}
		})
	}
}

// does makes the relay answer like that from now on.
func (r *fake) does(answer func(now time.Time, body []byte) []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = answer
}

// holds makes the relay answer from s.
func (r *fake) holds(s *dirsync.Server) {
	r.does(func(now time.Time, body []byte) []byte {
		frames, evidence := s.Answer(now, body)
		if evidence != nil {
			r.mu.Lock()
			r.evidence = append(r.evidence, evidence)
			r.mu.Unlock()
		}
		return frames
	})
}

// forges makes the relay answer from s with a byte changed in everything that it
// sends but for refusals.
func (r *fake) forges(s *dirsync.Server) {
	r.does(func(now time.Time, body []byte) []byte {
		frames, _ := s.Answer(now, body)
		out := slices.Clone(frames)
		out[len(out)/3] ^= 0x55
		if len(out) > 60 {
			out[60] ^= 0x55
		}
		return out
	})
}

func (r *fake) count() (asked, links int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked, r.links
}

// follows makes the relay hold at each time what c has by then, up to an epoch.
func (r *fake) follows(c *chain, until uint64) {
	servers := []*dirsync.Server{dirsync.NewServer(r.v.doc)}
	for i := 1; i < len(c.states); i++ {
		servers = append(servers, servers[i-1].With(dirsync.Final{State: c.states[i], Certificate: c.certs[i]}))
	}
	r.does(func(now time.Time, body []byte) []byte {
		frames, _ := servers[min(r.v.doc.EpochAt(now), until)].Answer(now, body)
		return frames
	})
}

// epoch lets time pass to shortly after the start of an epoch.
func (v *village) epoch(e uint64) {
	v.pass(time.Until(v.doc.EpochStart(e).Add(v.doc.Params.EpochLen / 4)))
}

// pass lets virtual time pass.
func (v *village) pass(d time.Duration) { time.Sleep(d) }

// memory is a Store.
type memory struct {
	mu    sync.Mutex
	state []byte
	saves int
}

func (m *memory) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state, nil
}

func (m *memory) Save(state []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.saves = slices.Clone(state), m.saves+1
	return nil
}

// walker is a client that speaks to relays over links, and asks others over links too
// where it would build circuits: relays here build none.
type walker struct {
	*Client
	mem *memory // its Directory
	end func()
}

// walk makes a client as Run does before its bootstrap.
func (v *village) walk(change func(*Config)) *walker {
	v.t.Helper()
	w := &walker{mem: new(memory)}
	v.walkers++
	cfg := Config{Genesis: v.doc, Transport: v.net.Host(netip.AddrFrom4([4]byte{13, 0, v.walkers, 1})), Rand: rand.Reader, Directory: w.mem}
	if change != nil {
		change(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		v.t.Fatal(err)
	}
	w.Client = c
	ctx, cancel := context.WithCancel(context.Background())
	c.life = ctx
	c.links = link.NewPool(link.PoolConfig{Dial: c.dialLink})
	if err := c.loadGuards(); err != nil {
		v.t.Fatal(err)
	}
	c.loadDirectory()
	elsewhere := v.net.Host(netip.AddrFrom4([4]byte{14, 0, 0, 1}))
	c.askLast = func(ctx context.Context, last *snapshot.Relay, _ int, f func(context.Context, stream) error) error {
		l, err := link.Dial(ctx, elsewhere, last.Addresses[0], link.Config{NetworkID: c.nid, Rand: rand.Reader})
		if err != nil {
			return err
		}
		defer l.Close()
		st, err := l.Open(link.StreamDirectory)
		if err != nil {
			return err
		}
		defer st.Close()
		return f(ctx, st)
	}
	w.end = sync.OnceFunc(func() {
		cancel()
		_ = c.links.Close()
		c.tasks.Wait()
	})
	return w
}

// settleIn has a client go on as one that is ready, with guards of its own.
func (w *walker) settleIn(t *testing.T) {
	t.Helper()
	if err := w.obtain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := w.updateGuards(); err != nil {
		t.Fatal(err)
	}
	w.arrive()
	w.giveBack()
}

// following runs what follows the network; end it before the client.
func (w *walker) following(t *testing.T) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.follow(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// held returns the epoch of the list in use.
func (w *walker) held() uint64 { return w.current().view.Epoch() }
