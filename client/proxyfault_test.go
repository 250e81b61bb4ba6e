// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"chive/link"
)

// throughProxy is a Transport whose proxy can fail.
type throughProxy struct {
	link.Transport
	fails atomic.Pointer[error]
}

func (p *throughProxy) Dial(ctx context.Context, addr netip.AddrPort) (net.Conn, error) {
	if err := p.fails.Load(); err != nil {
		return nil, *err
	}
	return p.Transport.Dial(ctx, addr)
}

// TestADeadProxyIsNoGuardsFault (I11, NET-2): the proxy that all links pass fails at once
// and for long. No guard is held to have failed, none is drawn beside them, and what is
// said names the proxy.
func TestADeadProxyIsNoGuardsFault(t *testing.T) {
	inVillage(t, 9, func(t *testing.T, v *village) {
		var proxy *throughProxy
		w := v.walk(func(c *Config) {
			proxy = &throughProxy{Transport: c.Transport}
			c.Transport = proxy
		})
		defer w.end()
		w.settleIn(t)
		before := w.Guards()
		for _, rid := range before { // the relay that was asked for the list may be one
			if l := w.links.Lookup(rid); l != nil {
				_ = l.Close()
				<-l.Done()
			}
		}
		for _, g := range w.usableGuards() { // some may have been asked for the list
			l, err := w.linkTo(t.Context(), g)
			if err != nil {
				t.Fatal(err)
			}
			_ = l.Close()
		}
		v.pass(time.Second)
		for _, fails := range []error{link.ErrProxy, link.ErrProxyAuth} {
			proxy.fails.Store(&fails)
			for range 60 { // a quarter of an hour: it begins while the network counts as up
				err := w.firstGuard(t.Context())
				if cause, text := w.troubleOf(err); err == nil || !strings.Contains(text, "the proxy that client.upstream names") || cause == "" {
					t.Fatalf("%v: %s, %s", err, cause, text)
				}
				if down := w.explainBuild(err).(*Failure); down.Reason() != "network_down" || !strings.Contains(down.Fix(), "client.upstream") {
					t.Fatalf("%s: %s", down.Reason(), down.Fix())
				}
				w.mu.Lock()
				for _, g := range w.guards.List(time.Now()) {
					if g.Unreachable {
						t.Error("a guard is held to have failed")
					}
				}
				w.mu.Unlock()
				w.probe(t.Context())
				if err := w.updateGuards(); err != nil {
					t.Fatal(err)
				}
				v.pass(15 * time.Second)
			}
			w.stuck(fails)
			if text, fix := w.startTrouble(); !strings.Contains(fix, "client.upstream") || !strings.Contains(text, "client.upstream") {
				t.Errorf("%q, %q", text, fix)
			}
		}
		if after := w.Guards(); !slices.Equal(before, after) {
			t.Errorf("the guards were %v, and are %v", before, after)
		}
		proxy.fails.Store(nil)
		if err := w.firstGuard(t.Context()); err != nil {
			t.Errorf("with the proxy back: %v", err)
		}
	})
}

// TestAProxyThatAnswersNoIsNamed (CLI-7, SOCKS-11): with what it has answered, and what to do
// says nothing of this machine's connection, which the proxy was reached by.
func TestAProxyThatAnswersNoIsNamed(t *testing.T) {
	for status, says := range map[int]string{
		0:   "says that it has no way to the relay that was asked.",
		501: "answered 501: it does not let connections through (CONNECT).",
		502: "answered 502 and does not let the connection through, or the relay that was asked is gone.",
	} {
		inVillage(t, 5, func(t *testing.T, v *village) {
			v.epoch(20)
			proxy := new(throughProxy)
			w := v.walk(func(c *Config) {
				proxy.Transport = c.Transport
				c.Transport, c.Proxied = proxy, true
			})
			defer w.end()
			var fails error = &link.ProxyAnswer{Status: status}
			proxy.fails.Store(&fails)
			err := w.obtain(t.Context(), 0)
			w.stuck(err)
			st := w.Status().Bootstrap
			if want := "the proxy that client.upstream names " + says; st.Cause != "no_route" || !strings.HasPrefix(st.Text, want) || !strings.Contains(st.Fix, "client.upstream") || strings.Contains(st.Fix, "connect this machine") {
				t.Errorf("%d: %v: %s: %s Fix: %s", status, err, st.Cause, st.Text, st.Fix)
			}
			down := w.explainBuild(err).(*Failure)
			if down.Reason() != "network_down" || !strings.Contains(down.Error(), says) || !strings.Contains(down.Fix(), "the proxy that client.upstream names") {
				t.Errorf("%d: %s: %s", status, down, down.Fix())
			}
			if state, ok := peerState(err); state != PeerProxyFails || !ok {
				t.Errorf("%d: a peer is %s", status, state)
			}
		})
	}
}
