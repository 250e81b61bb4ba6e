// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit/handshake"
	"chive/directory"
	"chive/directory/genesis"
	"chive/directory/record"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// TestOnionKeysRotate: the successor becomes the current key, and keys that were
// current are answered to for the overlap.
func TestOnionKeysRotate(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	const life, overlap = 30 * time.Minute, 10 * time.Minute
	k, err := NewMemoryKeyring(rand.Reader, life, overlap, start)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) OnionKeys {
		t.Helper()
		keys, err := k.Onion(start.Add(d))
		if err != nil || !keys.valid() {
			t.Fatal(err)
		}
		return keys
	}
	first := at(0)
	if first.Current.Public() != k.OnionPublic() || len(first.Previous) != 0 {
		t.Error("the founder's key is not the current one")
	}
	if again := at(life - 1); !first.same(&again) {
		t.Error("rotated too early")
	}
	second := at(life)
	if second.Current.Public() != first.Next.Public() || len(second.Previous) != 1 || second.Previous[0].Public() != first.Current.Public() {
		t.Error("the successor did not follow")
	}
	if !slices.ContainsFunc(second.all(), func(o *handshake.OnionKey) bool { return o.Public() == first.Current.Public() }) {
		t.Error("the old key is not answered to")
	}
	if third := at(life + overlap); len(third.Previous) != 0 || third.Current.Public() != second.Current.Public() {
		t.Errorf("after the overlap %d old keys", len(third.Previous))
	}
}

func TestCommitteeKeysAreTheCallersToWipe(t *testing.T) {
	k := ring(t, 1)
	all, err := k.Committee()
	if err != nil || len(all) != 2 {
		t.Fatal(err, len(all))
	}
	key, err := k.NewCommittee(1)
	if err != nil || !bytes.Equal(key, all[1]) {
		t.Error("another key for one term")
	}
	clear(all[1])
	clear(key)
	if key, _ = k.NewCommittee(1); bytes.Equal(key, make([]byte, len(key))) {
		t.Error("wiping a copy has wiped the key")
	}
	made, err := k.NewCommittee(5)
	if err != nil {
		t.Fatal(err)
	}
	if pub, ok := k.CommitteePublic(5); !ok || pub != public(made) {
		t.Error("the key that was made is not kept")
	}
	for range 2 {
		if err := k.EraseCommittee(5); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok := k.CommitteePublic(5); ok {
		t.Error("the key is not erased")
	}
}

// TestCircuitsAreMadeWithEachKeyThatTheTableHasNamed while onion keys rotate, and the
// table names the new ones.
func TestCircuitsAreMadeWithEachKeyThatTheTableHasNamed(t *testing.T) {
	p := genesis.Testnet()
	p.OnionLife, p.OnionOverlap = time.Minute, 40*time.Second
	inCity(t, 4, p, func(t *testing.T, w *city) {
		for _, c := range w.all {
			c.ring.life, c.ring.overlap = p.OnionLife, p.OnionOverlap
			c.ring.onion[0].since = time.Now().Add(p.OnionLife)
		}
		w.startAll()
		w.extends(w.all[3])
		named := map[[32]byte]bool{}
		for epoch := uint64(1); epoch < 20; epoch++ {
			w.atEnd(epoch)
			w.agree(w.all...)
			r, _ := w.all[0].View().Table().Relay(w.all[3].RID())
			named[r.Onion] = true
			w.extends(w.all[3])
		}
		if len(named) < 3 {
			t.Errorf("the table has named %d keys in three lives", len(named))
		}
	})
}

// brokenRing is a key ring that fails at some of its calls.
type brokenRing struct {
	*MemoryKeyring
	onion   error
	failing *atomic.Bool // NewCommittee and EraseCommittee
}

func (b *brokenRing) NewCommittee(term uint64) (ed25519.PrivateKey, error) {
	if b.failing.Load() {
		return nil, errors.New("no space")
	}
	return b.MemoryKeyring.NewCommittee(term)
}

func (b *brokenRing) EraseCommittee(term uint64) error {
	if b.failing.Load() {
		return errors.New("no space")
	}
	return b.MemoryKeyring.EraseCommittee(term)
}

func (b *brokenRing) Onion(now time.Time) (OnionKeys, error) {
	if b.onion != nil {
		return OnionKeys{}, b.onion
	}
	return b.MemoryKeyring.Onion(now)
}

// TestAKeyRingThatFailsIsToldAndAskedAgain, while everything else goes on.
func TestAKeyRingThatFailsIsToldAndAskedAgain(t *testing.T) {
	p := genesis.Testnet()
	p.Term, p.DrawLead = 12, 3
	inCity(t, 4, p, func(t *testing.T, w *city) {
		for _, c := range w.all {
			c.failing = new(atomic.Bool)
		}
		w.startAll()
		w.atEnd(2)
		poor := w.all[1]
		poor.failing.Store(true)
		w.atEnd(14) // a term later a descriptor with another key is due
		if d := poor.Status().Directory; d.Keys == "" || w.agree(w.all...) != 14 {
			t.Errorf("%+v", d)
		}
		poor.failing.Store(false)
		w.atEnd(18)
		if d := poor.Status().Directory; d.Keys != "" || w.agree(w.all...) != 18 {
			t.Errorf("afterwards: %+v", d)
		}
		w.atEnd(40)
		if d := poor.Status().Directory; !d.Committee.Seat || d.Committee.K != 4 || d.Committee.Reason != "" {
			t.Errorf("in a later term: %+v", d.Committee)
		}
		if keys, _ := poor.ring.Committee(); len(keys) > 5 || keys[0] != nil {
			t.Errorf("%d keys are kept", len(keys))
		}
	})
}

// TestWhatNewAndRunRefuse: an About that makes no descriptor, keys and stores that
// cannot be read.
func TestWhatNewAndRunRefuse(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		w := &city{t: t, verify: newRemembering()}
		plan := genesis.Plan{Name: "city", Testnet: true, Params: new(genesis.Testnet()), Time: time.Now()}
		for range 2 {
			c := w.citizen()
			plan.Founders = append(plan.Founders, founder(c.identity, c.ring, townAddr(c.n)))
		}
		doc, err := plan.Document()
		if err != nil {
			t.Fatal(err)
		}
		c := w.all[0]
		here := memnet.New(memnet.Config{Seed: 1, Path: func(_, _ netip.Addr) memnet.Path { return memnet.Path{} }}).Host(townAddr(0).Addr())
		base := Config{
			Genesis: doc, Identity: c.identity, Keys: c.ring, About: about(townAddr(0)), Transport: here, Listen: townAddr(0), Rand: rand.Reader,
		}
		broken := errors.New("the key file is gone")
		for name, one := range map[string]struct {
			change   func(c *Config)
			of, with error
		}{
			"no address":    {func(c *Config) { c.About.Addresses = nil }, ErrAbout, record.ErrAddress},
			"long nickname": {func(c *Config) { c.About.Nickname = strings.Repeat("x", 20) }, ErrAbout, record.ErrDescriptor},
			"exit, no policy": {func(c *Config) {
				c.About.Roles |= record.RoleExit
			}, ErrAbout, record.ErrDescriptor},
			"no keys":    {func(c *Config) { c.Keys = nil }, ErrConfig, ErrConfig},
			"bad keys":   {func(c *Config) { c.Keys = &brokenRing{MemoryKeyring: w.all[0].ring, onion: broken} }, ErrKeys, broken},
			"no port":    {func(c *Config) { c.Transport = nowhere{} }, ErrListen, ErrListen},
			"bad store":  {func(c *Config) { c.Store = unreadable{} }, ErrStore, ErrStore},
			"two places": {func(c *Config) { c.About.Addresses = []netip.AddrPort{townAddr(0), townAddr(0)} }, ErrAbout, record.ErrAddress},
		} {
			cfg := base
			one.change(&cfg)
			r, err := New(cfg)
			if err == nil {
				err = r.Run(t.Context())
			}
			if !errors.Is(err, one.of) || !errors.Is(err, one.with) {
				t.Errorf("%s: %v", name, err)
			}
		}
		synctest.Wait()
	})
}

type unreadable struct{}

func (unreadable) Each(string, func(_, _ []byte) error) error { return errors.New("damaged sector") }
func (unreadable) Put([]Write) error                          { return nil }
func (unreadable) Damaged() bool                              { return false }

// TestWhatAnAboutSays: every field of it is in the descriptor, and a change is noticed.
func TestWhatAnAboutSays(t *testing.T) {
	k := ring(t, 1)
	onion, err := k.Onion(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	full := About{
		Addresses: []netip.AddrPort{townAddr(3)}, Rate: 5, Roles: record.RoleGuard | record.RoleExit,
		Policy: []record.PortRange{{Protocol: record.TCP, First: 80, Last: 80}}, Family: &record.Family{Key: make([]byte, 32), Signature: make([]byte, 64)},
		Nickname: "n", Contact: "c", Software: "s",
	}
	d := full.describe(nil, directory.Publish{Seq: 9, Terms: []uint64{4, 3}}, &onion, k.VRFPublic(), map[uint64][32]byte{3: {3}, 4: {4}})
	if !full.says(d, &onion, k.VRFPublic()) || d.Seq != 9 || len(d.Committee) != 2 || d.Committee[0].Term != 3 || d.Committee[1].Key[0] != 4 {
		t.Errorf("%+v", d)
	}
	for n, change := range []func(a *About){
		func(a *About) { a.Addresses = []netip.AddrPort{townAddr(4)} }, func(a *About) { a.Rate++ }, func(a *About) { a.Roles = record.RoleExit },
		func(a *About) { a.Policy = []record.PortRange{{Protocol: record.TCP, First: 81, Last: 81}} }, func(a *About) { a.Family = nil },
		func(a *About) { a.Family = &record.Family{Key: make([]byte, 32), Signature: []byte{1}} },
		func(a *About) { a.Nickname = "" }, func(a *About) { a.Contact = "" }, func(a *About) { a.Software = "" },
	} {
		other := full
		change(&other)
		if other.says(d, &onion, k.VRFPublic()) {
			t.Errorf("change %d is not noticed", n)
		}
	}
	if full.says(d, &onion, [32]byte{1}) {
		t.Error("another VRF key is not noticed")
	}
}
