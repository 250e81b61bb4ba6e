// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	dirsync "chive/directory/sync"
	"chive/directory/vote"
	"chive/directory/vrf"
	"chive/internal/memnet"
	"chive/internal/store"
	"chive/internal/testutil"
)

// city is a network of running relays that agree on their list.
type city struct {
	t      *testing.T
	net    *memnet.Network
	doc    *genesis.Document
	all    []*citizen
	verify *remembering
}

// citizen is a relay with what outlives its process.
type citizen struct {
	w        *city
	n        int
	identity ed25519.PrivateKey
	ring     *MemoryKeyring
	store    *flakyStore
	skew     atomic.Int64   // of its clock, nanoseconds
	failing  *atomic.Bool   // its key ring; nil: never
	keys     Keyring        // nil: ring
	table    *store.Table   // nil: store
	claims   netip.AddrPort // address that it publishes; zero: its own
	peers    []Peer         // that its operator knows
	voucher  []byte         // nil: none
	anchor   *dirsync.AnchorFile
	offline  *offlineKeys // its identity is not here; nil: it is
	*Relay
	stop  context.CancelFunc
	ended chan error
}

// inCity runs f in virtual time, in a network of so many founders.
func inCity(t *testing.T, founders int, p genesis.Params, f func(t *testing.T, w *city)) {
	t.Helper()
	testutil.Bubble(t, func(t *testing.T) {
		w := &city{t: t, verify: newRemembering(), net: memnet.New(memnet.Config{Seed: 1, Path: func(_, _ netip.Addr) memnet.Path {
			return memnet.Path{Latency: 20 * time.Millisecond}
		}})}
		plan := genesis.Plan{Name: "city", Testnet: true, Params: &p, Time: time.Now()}
		for range founders {
			c := w.citizen()
			plan.Founders = append(plan.Founders, founder(c.identity, c.ring, townAddr(c.n)))
		}
		doc, err := plan.Document()
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range w.all {
			if err := doc.Sign(c.identity); err != nil {
				t.Fatal(err)
			}
		}
		w.doc = doc
		defer func() {
			for _, c := range w.all {
				c.leave()
			}
		}()
		f(t, w)
	})
}

// citizen makes a relay that does not run yet.
func (w *city) citizen() *citizen {
	n := len(w.all)
	c := &citizen{
		w: w, n: n, identity: ed25519.NewKeyFromSeed(append(make([]byte, 31), byte(n+1))), ring: ring(w.t, byte(n+1)),
		store: &flakyStore{MemoryStore: NewMemoryStore()},
	}
	w.all = append(w.all, c)
	return c
}

// start runs the relay from its store.
func (c *citizen) start() {
	c.w.t.Helper()
	claims := townAddr(c.n)
	if c.claims.IsValid() {
		claims = c.claims
	}
	var keys Keyring = c.ring
	if c.keys != nil {
		keys = c.keys
	}
	if c.failing != nil {
		keys = &brokenRing{MemoryKeyring: c.ring, failing: c.failing}
	}
	var held Store = c.store
	if c.table != nil {
		held = c.table
	}
	identity, certified := c.identity, CertifiedKeys(nil)
	if c.offline != nil {
		identity, certified = nil, c.offline
	}
	r, err := New(Config{
		Genesis: c.w.doc, Identity: identity, Certified: certified, Keys: keys, About: about(claims), Store: held, Verifier: c.w.verify, Peers: c.peers, Voucher: c.voucher, Anchor: c.anchor,
		Transport: c.w.net.Host(townAddr(c.n).Addr()), Listen: townAddr(c.n), DrainTimeout: -1, Rand: rand.Reader,
	})
	if err != nil {
		c.w.t.Fatal(err)
	}
	r.wall = func() time.Time { return time.Now().Add(time.Duration(c.skew.Load())) }
	ctx, stop := context.WithCancel(context.Background())
	c.Relay, c.stop, c.ended = r, stop, make(chan error, 1)
	go func() { c.ended <- r.Run(ctx) }()
	select {
	case <-r.Ready():
	case err := <-c.ended:
		c.w.t.Fatal("it did not start:", err)
	}
}

// leave stops the relay, if it runs.
func (c *citizen) leave() {
	c.w.t.Helper()
	if c.Relay == nil {
		return
	}
	c.stop()
	if err := <-c.ended; err != nil {
		c.w.t.Error(err)
	}
	c.Relay = nil
}

// kill stops the relay as a kill does: what was not stored by then is lost.
func (c *citizen) kill() {
	synctest.Wait()
	held := c.store.copy()
	c.leave()
	c.store = held
}

func (w *city) startAll() {
	for _, c := range w.all {
		c.start()
	}
}

// until waits for a time after an epoch's start.
func (w *city) until(epoch uint64, after time.Duration) {
	w.t.Helper()
	d := time.Until(w.doc.EpochStart(epoch).Add(after))
	if d < 0 {
		w.t.Fatalf("epoch %d is over", epoch)
	}
	pass(d)
}

// atEnd waits until an epoch's snapshot must be final everywhere.
func (w *city) atEnd(epoch uint64) { w.until(epoch, w.doc.Params.SignEnd) }

// running returns the relays that run.
func (w *city) running() (out []*citizen) {
	for _, c := range w.all {
		if c.Relay != nil {
			out = append(out, c)
		}
	}
	return out
}

// agree compares the newest snapshots of relays, byte for byte, and returns their epoch.
func (w *city) agree(all ...*citizen) uint64 {
	w.t.Helper()
	first := all[0].View()
	for _, c := range all[1:] {
		v := c.View()
		if string(v.Header().Encode()) != string(first.Header().Encode()) {
			w.t.Fatalf("relay %d holds epoch %d, relay %d epoch %d, or others", all[0].n, first.Epoch(), c.n, v.Epoch())
		}
		for tile := range first.Table().TileRoots() {
			if string(v.Table().Tile(tile)) != string(first.Table().Tile(tile)) {
				w.t.Fatalf("relays %d and %d hold other tables of epoch %d", all[0].n, c.n, v.Epoch())
			}
		}
	}
	return first.Epoch()
}

// certificates returns those that a relay has stored, by epoch.
func (c *citizen) certificates() map[uint64]*vote.Certificate {
	c.w.t.Helper()
	out := map[uint64]*vote.Certificate{}
	if err := c.store.Each("cert", func(_, value []byte) error {
		cert, err := vote.DecodeCertificate(value)
		if err == nil {
			out[cert.Header.Epoch] = cert
		}
		return err
	}); err != nil {
		c.w.t.Fatal(err)
	}
	return out
}

// accused reports evidence that any relay has heard of.
func (w *city) accused() bool {
	for _, c := range w.running() {
		for _, r := range c.Status().Directory.Reports {
			if r.What == reportWords[directory.ReportEvidence] {
				return true
			}
		}
	}
	return false
}

// flakyStore is a store that fails when told to, and that may have been damaged.
type flakyStore struct {
	*MemoryStore
	mu      sync.Mutex
	fails   error
	damaged bool
	puts    [][]Write
	tries   int
}

func (s *flakyStore) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

func (s *flakyStore) Put(writes []Write) error {
	s.mu.Lock()
	s.tries++
	if s.fails != nil {
		defer s.mu.Unlock()
		return s.fails
	}
	s.damaged = false
	s.puts = append(s.puts, slices.Clone(writes))
	s.mu.Unlock()
	return s.MemoryStore.Put(writes)
}

func (s *flakyStore) Damaged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.damaged
}

// copy returns what is durable now.
func (s *flakyStore) copy() *flakyStore {
	out := &flakyStore{MemoryStore: NewMemoryStore(), damaged: s.Damaged()}
	s.MemoryStore.mu.Lock()
	defer s.MemoryStore.mu.Unlock()
	out.buckets = map[string]map[string][]byte{}
	for name, b := range s.buckets {
		out.buckets[name] = maps.Clone(b)
	}
	return out
}

// remembering is a Verifier that all relays share and that does each thing once.
type remembering struct {
	mu         sync.Mutex
	signatures map[[32]byte]bool
	proofs     map[[32]byte][vrf.OutputSize]byte
}

func newRemembering() *remembering {
	return &remembering{signatures: map[[32]byte]bool{}, proofs: map[[32]byte][vrf.OutputSize]byte{}}
}

func (r *remembering) Signatures(batch []vote.Check) bool {
	for i := range batch {
		c := &batch[i]
		name := record.Hash("check", c.Key[:], c.Signature[:], c.Message)
		r.mu.Lock()
		good, known := r.signatures[name]
		r.mu.Unlock()
		if !known {
			good = vote.Plain{}.Signatures(batch[i : i+1])
			r.mu.Lock()
			r.signatures[name] = good
			r.mu.Unlock()
		}
		if !good {
			return false
		}
	}
	return true
}

func (r *remembering) Proof(key [32]byte, alpha []byte, proof [vrf.ProofSize]byte) ([vrf.OutputSize]byte, error) {
	name := record.Hash("proof", key[:], proof[:], alpha)
	r.mu.Lock()
	out, known := r.proofs[name]
	r.mu.Unlock()
	if known {
		return out, nil
	}
	out, err := vote.Plain{}.Proof(key, alpha, proof)
	if err == nil {
		r.mu.Lock()
		r.proofs[name] = out
		r.mu.Unlock()
	}
	return out, err
}
