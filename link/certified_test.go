// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"context"
	"testing"
	"time"

	"chive/internal/memnet"
	"chive/internal/testutil"
)

// certified is a link key of number n and its certificate by identity 2.
func certified(t testing.TB, n byte, notAfter time.Time) (key [32]byte, certificate []byte) {
	t.Helper()
	static, err := newStatic(&seeded{n})
	if err != nil {
		t.Fatal(err)
	}
	certificate, err = SignCertificate(testKey(2), testNetwork, [32]byte(static.PublicKey().Bytes()), notAfter)
	if err != nil {
		t.Fatal(err)
	}
	return [32]byte(static.Bytes()), certificate
}

// TestAnIdentityOfKeysMadeBeforeIsAccepted in the 48 hours before its certificate ends,
// and at no other time. Spec: protocol §1 (LINK-4); product REL-12.
func TestAnIdentityOfKeysMadeBeforeIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		left time.Duration
		good bool
		up   bool // with an hour of grace for clocks
	}{
		"a day":           {24 * time.Hour, true, true},
		"the whole life":  {MaxCertificateLife, true, true},
		"too early":       {MaxCertificateLife + time.Second, false, true},
		"much too early":  {MaxCertificateLife + 2*time.Hour, false, false},
		"ended":           {0, false, true},
		"ended long ago":  {-2 * time.Hour, false, false},
		"the last second": {time.Second, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			testutil.Bubble(t, func(t *testing.T) {
				key, certificate := certified(t, 7, time.Now().Add(c.left))
				id, err := CertifiedIdentity(testNetwork, &key, certificate)
				if err != nil {
					t.Fatal(err)
				}
				if id.GoodAt(time.Now()) != c.good || !id.NotAfter().Equal(time.Now().Add(c.left)) || !id.Public().Equal(testKey(2).Public()) {
					t.Errorf("good: %v", id.GoodAt(time.Now()))
				}
				clear(certificate) // it is the caller's
				a, b := conns(t, memPath(memnet.Path{Latency: time.Millisecond}))
				ended := make(chan error, 1)
				go func() {
					l, err := Server(context.Background(), b, relayConfig(id))
					if err == nil {
						<-l.Done()
					}
					ended <- err
				}()
				l, err := Client(context.Background(), a, clientConfig())
				if (err == nil) != c.up {
					t.Errorf("the link: %v", err)
				}
				if err == nil {
					if who, relay := l.Peer(); !relay || !who.Equal(testKey(2).Public()) {
						t.Error("it proves another identity")
					}
					_ = l.Close()
				}
				_ = a.Close()
				<-ended
			})
		})
	}
}

// TestACertificateOfAnotherKeyIsRefused, of another network, and one that does not hold.
func TestACertificateOfAnotherKeyIsRefused(t *testing.T) {
	key, certificate := certified(t, 7, time.Unix(1_800_000_000, 0))
	other, _ := certified(t, 8, time.Unix(1_800_000_000, 0))
	if _, err := CertifiedIdentity(testNetwork, &key, certificate); err != nil {
		t.Fatal(err)
	}
	if _, err := CertifiedIdentity(testNetwork, &other, certificate); err != ErrHandshake {
		t.Error("another key:", err)
	}
	if _, err := CertifiedIdentity([32]byte{9}, &key, certificate); err != ErrHandshake {
		t.Error("another network:", err)
	}
	for n := range certificate {
		bad := bytes.Clone(certificate)
		bad[n] ^= 1
		if _, err := CertifiedIdentity(testNetwork, &key, bad); err != ErrHandshake {
			t.Fatal("changed at", n, err)
		}
	}
}
