// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"chive/link"
)

// silence is a Transport through which nothing comes back.
type silence struct{ link.Transport }

func (silence) Dial(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestASilentProxyIsNamedAfter20s (CLI-7, SOCKS-11): a proxy takes connections and says
// nothing. The first round takes longer than 20 s; the cause is there by then, stays while
// the next rounds begin, and is what a request that waited for a minute fails with.
func TestASilentProxyIsNamedAfter20s(t *testing.T) {
	for _, proxied := range []bool{true, false} {
		inVillage(t, 12, func(t *testing.T, v *village) {
			var mu sync.Mutex
			var told []Progress
			var at []time.Duration
			began := time.Now()
			w := v.walk(func(c *Config) {
				c.Transport, c.Proxied = silence{c.Transport}, proxied
				c.Peers = []Peer{{RID: v.relays[0].rid, Addresses: []netip.AddrPort{v.relays[0].addr}}}
				c.Progress = func(p Progress) {
					mu.Lock()
					told, at = append(told, p), append(at, time.Since(began))
					mu.Unlock()
				}
			})
			defer w.end()
			v.epoch(60) // what it holds is too old to go on with
			began = time.Now()
			ctx, stop := context.WithCancel(t.Context())
			var over sync.WaitGroup
			over.Go(func() { w.bootstrap(ctx) })
			defer func() { stop(); over.Wait(); w.tasks.Wait() }()
			refused := make(chan error, 1)
			go func() { refused <- w.awaitReady(ctx, nil) }()

			v.pass(standstill - time.Second)
			if p := w.Status().Bootstrap; p.Stuck {
				t.Errorf("stuck within 19 s: %+v", p)
			}
			v.pass(2 * time.Second)
			names := func(text string) bool {
				return strings.Contains(text, "client.upstream") == proxied && strings.Contains(text, "--peer") != proxied
			}
			for range 90 {
				p := w.Status().Bootstrap
				if !p.Stuck || p.Cause == "" || p.Fix == "" || !names(p.Text) || w.Status().Text != p.Text {
					t.Fatalf("after %v: %+v", time.Since(began), p)
				}
				v.pass(time.Second)
			}
			var f *Failure
			if err := <-refused; !errors.As(err, &f) || f.Reason() != "starting" || !names(f.Error()) || proxied != (f.Fix() == fixProxy) {
				t.Errorf("a request: %v", err)
			}
			if peer := w.Peers()[0]; peer.State != PeerTimeout != proxied || peer.State != PeerProxySilent == proxied {
				t.Errorf("the peer is %s", peer.State)
			}
			mu.Lock()
			defer mu.Unlock()
			for i, p := range told {
				if p.Stuck {
					if at[i] != standstill {
						t.Errorf("stuck is said after %v", at[i])
					}
					return
				}
			}
			t.Error("nobody was told")
		})
	}
}

// TestAStandstillEndsWithAStepForward (CLI-7): that the same is tried again is none; the
// next part of the list of relays is.
func TestAStandstillEndsWithAStepForward(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		w.progress(Progress{Percent: 30, Tag: "loading_directory", done: 1})
		w.stuck(link.ErrRefused)
		if p := w.Status().Bootstrap; p.Stuck || p.Cause != "refused" {
			t.Errorf("at once: %+v", p)
		}
		v.pass(standstill)
		w.stuck(link.ErrRefused)
		for _, again := range []Progress{{Percent: 0, Tag: "starting"}, {Percent: 5, Tag: "connecting"}, {Percent: 30, Tag: "loading_directory", done: 1}} {
			w.progress(again)
			if p := w.Status().Bootstrap; !p.Stuck || p.Cause != "refused" {
				t.Errorf("%s, again: %+v", again.Tag, p)
			}
		}
		w.progress(Progress{Percent: 30, Tag: "loading_directory", done: 2})
		if s := w.Status(); s.Bootstrap.Stuck || s.Bootstrap.Cause != "" || s.Text != "" {
			t.Errorf("after a step: %+v", s.Bootstrap)
		}
	})
}

// TestTheProgressOfTheListSaysBytes beside parts (CLI-7).
func TestTheProgressOfTheListSaysBytes(t *testing.T) {
	inVillage(t, 5, func(t *testing.T, v *village) {
		w := v.walk(nil)
		defer w.end()
		for done, c := range []struct {
			bytes int64
			want  string
		}{
			{999, "0 of 8 parts of the list of relays, 999 bytes received"}, {1000, "1 of 8 parts of the list of relays, 1 kB received"},
			{999_499, "2 of 8 parts of the list of relays, 999 kB received"}, {999_500, "3 of 8 parts of the list of relays, 1.0 MB received"},
			{3_140_000, "4 of 8 parts of the list of relays, 3.1 MB received"},
		} {
			w.tableProgress(done, 8, c.bytes)
			if got := w.Status().Bootstrap.Text; got != c.want {
				t.Errorf("%d bytes: %q, want %q", c.bytes, got, c.want)
			}
		}
	})
}

// TestAFetchCountsItsBytes: all that come, over all waits for them.
func TestAFetchCountsItsBytes(t *testing.T) {
	here, there := net.Pipe()
	defer here.Close()
	go func() {
		defer there.Close()
		_, _ = there.Write(make([]byte, 3*fetchPortion))
	}()
	p, stop := patiently(t.Context(), here)
	defer stop()
	if n, err := io.Copy(io.Discard, p); err != nil || p.all != n || n != 3*int64(fetchPortion) {
		t.Errorf("%d of %d bytes are counted: %v", p.all, n, err)
	}
}
