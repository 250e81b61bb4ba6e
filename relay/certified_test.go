// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/directory/genesis"
	"chive/directory/record"
	"chive/link"
)

// offlineKeys are CertifiedKeys in memory, which the test's own hand certifies.
type offlineKeys struct {
	identity ed25519.PublicKey
	mu       sync.Mutex
	now      *Certified // nil: none
}

func (o *offlineKeys) Public() ed25519.PublicKey { return o.identity }

func (o *offlineKeys) Certified() (*Certified, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.now == nil {
		return nil, errors.New("none")
	}
	return o.now, nil
}

// certify is what the offline machine does: a signing key of number n, and link keys, for
// so many days from now on.
func (o *offlineKeys) certify(t *testing.T, nid [32]byte, identity ed25519.PrivateKey, n byte, days int, now time.Time) {
	t.Helper()
	key := ed25519.NewKeyFromSeed(append(make([]byte, 30), 99, n))
	end := now.Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
	c := &Certified{Key: key, Cert: record.NewCert(nid, identity, key.Public().(ed25519.PublicKey), end)}
	for i := range days + 1 {
		seed := [32]byte{1, n, byte(i)}
		private, err := ecdh.X25519().NewPrivateKey(seed[:])
		if err != nil {
			t.Fatal(err)
		}
		notAfter := end.Add(-time.Duration(max(0, days-1-i)) * 24 * time.Hour)
		data, err := link.SignCertificate(identity, nid, [32]byte(private.PublicKey().Bytes()), notAfter)
		if err != nil {
			t.Fatal(err)
		}
		id, err := link.CertifiedIdentity(nid, &seed, data)
		if err != nil {
			t.Fatal(err)
		}
		c.Links = append(c.Links, id)
	}
	o.mu.Lock()
	o.now = c
	o.mu.Unlock()
}

// goOffline takes a citizen's identity away, and certifies for so many days.
func (c *citizen) goOffline(days int) {
	c.offline = &offlineKeys{identity: c.identity.Public().(ed25519.PublicKey)}
	c.certify(1, days)
}

func (c *citizen) certify(n byte, days int) {
	c.w.t.Helper()
	c.offline.certify(c.w.t, c.w.doc.NetworkID(), c.identity, n, days, time.Now().Add(time.Duration(c.skew.Load())))
}

// TestOneLinkKeyADayIsUsed of those that were certified ahead, each for a day, and there
// is another one at every moment. Spec: product REL-12; protocol §1 (LINK-4).
func TestOneLinkKeyADayIsUsed(t *testing.T) {
	began := time.Unix(1_800_000_000, 0)
	identity := ed25519.NewKeyFromSeed(make([]byte, 32))
	o := &offlineKeys{identity: identity.Public().(ed25519.PublicKey)}
	o.certify(t, [32]byte{1}, identity, 1, 30, began)
	c := o.now
	if !c.of(o.identity) || !c.Ends().Equal(began.Add(30*24*time.Hour)) {
		t.Fatalf("it ends %v", c.Ends())
	}
	used := map[*link.Identity]time.Duration{}
	for at := time.Duration(0); at < 30*24*time.Hour; at += time.Hour {
		now := began.Add(at)
		id, err := c.Link(now)
		if err != nil || !id.GoodAt(now) || !c.good(now) {
			t.Fatalf("after %v: %v", at, err)
		}
		used[id] += time.Hour
		good := 0
		for _, id := range c.Links {
			if id.GoodAt(now) {
				good++
			}
		}
		if good < 2 {
			t.Errorf("after %v %d are good", at, good)
		}
	}
	for id, how := range used {
		if last := id.NotAfter().Equal(c.Ends()); how > 24*time.Hour && !last {
			t.Errorf("one was used for %v", how)
		}
	}
	if len(used) != 29 { // the last one for two days
		t.Errorf("%d were used", len(used))
	}
	end := began.Add(30 * 24 * time.Hour)
	if _, err := c.Link(end); !errors.Is(err, ErrUncertified) || c.good(end) {
		t.Errorf("at the end: %v", err)
	}
	if c.good(began.Add(-time.Second)) {
		t.Error("more than 30 days ahead it is good")
	}
	if _, err := c.Link(began.Add(-48 * time.Hour)); !errors.Is(err, ErrUncertified) {
		t.Errorf("long before: %v", err)
	}
}

// TestRelaysWithoutTheirIdentityKeys found a network, agree, take a newcomer in that has
// none either, and carry circuits to it. Spec: product REL-12; protocol §7 (DIR-2, REC-4).
func TestRelaysWithoutTheirIdentityKeys(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		for _, c := range w.all {
			c.goOffline(2)
		}
		w.startAll()
		w.atEnd(3)
		late := w.citizen()
		late.goOffline(2)
		late.start()
		select {
		case <-late.Listed():
		case <-time.After(3 * time.Minute):
			t.Fatalf("it was not listed: %+v", late.Status().Directory)
		}
		w.until(w.doc.EpochAt(time.Now())+3, w.doc.Params.SignEnd)
		if got, epoch := w.agree(w.all...), w.doc.EpochAt(time.Now()); got != epoch {
			t.Errorf("they agree on epoch %d at the end of %d", got, epoch)
		}
		w.extends(late)
		s := late.Status()
		if s.Certified == nil || !s.Certified.Ends.Equal(late.offline.now.Ends()) || s.LinkEnds.IsZero() || s.Directory.Keys != "" || w.accused() {
			t.Errorf("its status: %+v", s)
		}
		for _, c := range w.all { // what each holds of its own is signed through a certificate
			own := false
			if err := c.store.Each("desc", func(key, value []byte) error {
				rid := c.RID()
				if len(key) == 1+len(rid) && key[0] == record.ClassDescriptor && string(key[1:]) == string(rid[:]) {
					signed, err := record.DecodeSigned(value, record.MaxDescriptorSize)
					own = err == nil && signed.Cert != nil && signed.Cert.Key.Equal(c.offline.now.Key.Public())
				}
				return nil
			}); err != nil || !own {
				t.Errorf("relay %d: its descriptor is not signed so (%v)", c.n, err)
			}
		}
	})
}

// TestNewCertificatesAreTakenWhileTheRelayRuns, and its descriptor is made anew with them.
func TestNewCertificatesAreTakenWhileTheRelayRuns(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.all[0].goOffline(1)
		w.startAll()
		w.atEnd(2)
		c := w.all[0]
		first := notAfter(c.Relay)
		seen := func() *record.Signed { // by another relay
			var got *record.Signed
			rid := c.RID()
			if err := w.all[1].store.Each("desc", func(key, value []byte) error {
				if len(key) == 1+len(rid) && string(key[1:]) == string(rid[:]) {
					got, _ = record.DecodeSigned(value, record.MaxDescriptorSize)
				}
				return nil
			}); err != nil || got == nil || got.Cert == nil {
				t.Fatalf("the others hold no such descriptor: %v", err)
			}
			return got
		}
		was := seen()
		c.certify(2, 20)
		pass(certifiedCheck + w.doc.Params.RepublishGap + 2*w.doc.Params.EpochLen)
		if now := seen(); now.Cert.Key.Equal(was.Cert.Key) || !now.Cert.Key.Equal(c.offline.now.Key.Public()) {
			t.Error("the others hold the old one")
		}
		if !notAfter(c.Relay).After(first) {
			t.Error("the link key is the old one")
		}
		if got := c.Status().Certified.Ends; !got.Equal(c.offline.now.Ends()) {
			t.Errorf("it shows %v", got)
		}
		// A restart goes on with them, and a descriptor that would end early is renewed.
		c.kill()
		c.certify(3, 21)
		c.start()
		pass(w.doc.Params.RepublishGap + 2*w.doc.Params.EpochLen)
		c.kill()
		c.start()
		w.atEnd(w.doc.EpochAt(time.Now()) + 2)
		w.agree(w.all...)
		if w.accused() {
			t.Error("it is accused")
		}
	})
}

// TestARelayDrainsWhenItsCertificatesAreOver, says so, and does not start again until
// there are others.
func TestARelayDrainsWhenItsCertificatesAreOver(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		w.all[0].goOffline(3)
		w.startAll()
		w.atEnd(1)
		c := w.all[0]
		c.skew.Store(int64(2 * 24 * time.Hour)) // the machine slept
		pass(certifiedCheck + time.Second)
		if left := notAfter(c.Relay).Sub(time.Now().Add(2 * 24 * time.Hour)); left <= 0 || c.Draining() {
			t.Fatalf("after two days its link certificate has %v left, draining %v", left, c.Draining())
		}
		// A clock that is wrong for a moment, either way, or behind for long does not end it.
		for _, wrong := range []struct {
			skew  time.Duration
			looks int
		}{{300 * 24 * time.Hour, certifiedMisses - 1}, {0, 1}, {-100 * 24 * time.Hour, 3 * certifiedMisses}, {2 * 24 * time.Hour, 1}} {
			c.skew.Store(int64(wrong.skew))
			pass(time.Duration(wrong.looks) * certifiedCheck)
			if c.Draining() {
				t.Fatalf("a clock %v off for %d looks has ended it", wrong.skew, wrong.looks)
			}
		}
		c.skew.Store(int64(3 * 24 * time.Hour))
		pass((certifiedMisses + 1) * certifiedCheck)
		if !c.Draining() {
			t.Fatal("it goes on")
		}
		if err := <-c.ended; !errors.Is(err, ErrUncertified) {
			t.Errorf("it ended with %v", err)
		}
		again := c.Relay
		r, err := New(again.cfg)
		if err != nil {
			t.Fatal(err)
		}
		r.wall = again.wall
		if err := r.Run(context.Background()); !errors.Is(err, ErrUncertified) {
			t.Errorf("it starts with %v", err)
		}
		c.Relay = nil
		c.certify(2, 3)
		c.skew.Store(0)
		c.certify(2, 3)
		c.start()
	})
}

// TestOnlyOneOfIdentityAndCertifiedKeys makes a relay, and keys of another identity none.
func TestOnlyOneOfIdentityAndCertifiedKeys(t *testing.T) {
	inCity(t, 4, genesis.Testnet(), func(t *testing.T, w *city) {
		c, other := w.all[0], w.all[1]
		c.goOffline(1)
		cfg := Config{
			Genesis: w.doc, Keys: c.ring, About: about(townAddr(0)), Store: c.store, Transport: w.net.Host(townAddr(0).Addr()),
			Listen: townAddr(0), Rand: &zeros{}, DrainTimeout: -1,
		}
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("neither: %v", err)
		}
		cfg.Identity, cfg.Certified = c.identity, c.offline
		if _, err := New(cfg); !errors.Is(err, ErrConfig) {
			t.Errorf("both: %v", err)
		}
		cfg.Identity = nil
		if _, err := New(cfg); err != nil {
			t.Error(err)
		}
		foreign := &offlineKeys{identity: c.offline.identity}
		foreign.certify(t, w.doc.NetworkID(), other.identity, 1, 1, time.Now())
		cfg.Certified = foreign
		r, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.Run(t.Context()); !errors.Is(err, ErrUncertified) {
			t.Errorf("with another's keys: %v", err)
		}
		// Beside a certificate there is less room in a descriptor.
		cfg.Certified = c.offline
		cfg.About.Nickname, cfg.About.Contact = strings.Repeat("n", record.MaxNicknameSize), strings.Repeat("c", record.MaxContactSize)
		cfg.About.Roles |= record.RoleExit
		for i := range 40 {
			cfg.About.Policy = append(cfg.About.Policy, record.PortRange{Protocol: 6, First: uint16(2*i + 2), Last: uint16(2*i + 2)})
		}
		cfg.About.Software = strings.Repeat("s", record.MaxSoftwareSize)
		for _, text := range []string{"20.9.0.1:1", "[2001:db8:1::1]:1", "[2001:db8:2::1]:1"} {
			cfg.About.Addresses = append(cfg.About.Addresses, netip.MustParseAddrPort(text))
		}
		if _, err := New(cfg); err != nil {
			t.Errorf("one that fits: %v", err)
		}
		small, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		family := &record.Family{Key: c.offline.identity, Signature: make([]byte, 64)}
		if err := small.ChangeAbout(func(a *About) { a.Family = family }); !errors.Is(err, errRoom) {
			t.Errorf("grown while it runs: %v", err)
		}
		cfg.About.Family = family
		if _, err := New(cfg); !errors.Is(err, ErrAbout) || !errors.Is(err, errRoom) {
			t.Errorf("a full one: %v", err)
		}
		cfg.Certified, cfg.Identity = nil, c.identity
		if _, err := New(cfg); err != nil {
			t.Errorf("a full one of an identity that is here: %v", err)
		}
	})
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }
