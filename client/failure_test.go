// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"chive/circuit"
	"chive/circuit/carrier"
	"chive/directory/genesis"
	"chive/internal/testutil"
	"chive/link"
)

func TestEveryReasonReachesTheProgram(t *testing.T) {
	remote := func(r circuit.EndReason) error { return &circuit.StreamError{Reason: r, Remote: true} }
	for _, c := range []struct {
		err    error
		reason string
		final  bool
	}{
		{remote(circuit.EndRefused), "refused_by_target", true},
		{remote(circuit.EndUnresolvable), "name_not_found", true},
		{remote(circuit.EndUnreachable), "host_unreachable", false},
		{remote(circuit.EndTimeout), "timeout", false},
		{remote(circuit.EndPolicy), "exit_policy", false},
		{remote(circuit.EndReset), "refused_by_target", true},
		{remote(circuit.EndDone), "refused_by_target", true},
		{remote(circuit.EndBusy), "circuit_failed", false},
		{remote(circuit.EndProtocol), "circuit_failed", false},
		{remote(circuit.EndInternal), "circuit_failed", false},
		{remote(circuit.EndReason(200)), "circuit_failed", false},
		{&circuit.StreamError{Reason: circuit.EndInternal}, "circuit_failed", false},
		{carrier.ErrClosed, "circuit_failed", false},
		{context.DeadlineExceeded, "timeout", false},
		{errors.New("odd"), "circuit_failed", false},
	} {
		v := judge(c.err)
		if v.fail == nil || v.fail.Reason() != c.reason || v.final != c.final {
			t.Errorf("%v: %+v, want %s, final %v", c.err, v, c.reason, c.final)
		}
		if v.fail.Error() == "" || v.fail.Fix() == "" {
			t.Errorf("%s: says nothing to a person", c.reason)
		}
	}
}

// TestAResetIsTheHosts: an open stream that the exit says was reset is the host's doing; one that
// the network or this side ended is not, and the error itself stays to be found.
func TestAResetIsTheHosts(t *testing.T) {
	for _, c := range []struct {
		err  error
		host bool
	}{
		{&circuit.StreamError{Reason: circuit.EndReset, Remote: true}, true},
		{&circuit.StreamError{Reason: circuit.EndReset}, false},
		{&circuit.StreamError{Reason: circuit.EndInternal, Remote: true}, false},
		{carrier.ErrClosed, false},
		{os.ErrDeadlineExceeded, false},
		{io.EOF, false},
	} {
		got := reset(c.err)
		var why interface{ Reason() string }
		if host := errors.As(got, &why) && why.Reason() == "refused_by_target"; host != c.host || !errors.Is(got, c.err) || !c.host && got != c.err {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	if reset(nil) != nil {
		t.Error("an error of nothing")
	}
}

// TestWhatAnExitRefusesIsNoMatterOfPorts: its policy in the list permits the port, so that another
// one is no advice; at a testnet's loopback it is a relay that listens there.
func TestWhatAnExitRefusesIsNoMatterOfPorts(t *testing.T) {
	refused := error(&circuit.StreamError{Reason: circuit.EndPolicy, Remote: true})
	if v := judge(refused); v.fail != errExitRefuses || !v.skipExit || v.final || strings.Contains(v.fail.Fix(), "another port") {
		t.Errorf("%+v", v)
	}
	if v := judge(errors.Join(errToLoopback, refused)); v.fail != errExitLoopback || !v.skipExit || v.final || strings.Contains(v.fail.Fix(), "another port") {
		t.Errorf("%+v", v)
	}
	if v := judge(errors.Join(errInTestnet, refused)); v.fail != errExitTestnet || !v.skipExit || v.final || !strings.Contains(v.fail.Error(), "127.0.0.0/8") {
		t.Errorf("%+v", v)
	}
	if v := judge(errors.Join(errToLoopback, &circuit.StreamError{Reason: circuit.EndUnresolvable, Remote: true})); v.fail != errLocalhost || !v.final || !strings.Contains(v.fail.Fix(), "127.0.0.1") {
		t.Errorf("%+v", v)
	}
	var c Client
	c.doc = &genesis.Document{Testnet: true}
	for host, want := range map[string]*Failure{"203.0.113.7": errExitTestnet, "a.example": errExitTestnet, "127.0.0.1": errExitLoopback} {
		if v := judge(c.mark(host, refused)); v.fail != want {
			t.Errorf("%s: %+v", host, v)
		}
	}
	c.doc.Testnet = false
	if v := judge(c.mark("203.0.113.7", refused)); v.fail != errExitRefuses {
		t.Errorf("%+v", v)
	}
	if v := judge(errors.Join(errToLoopback, &circuit.StreamError{Reason: circuit.EndRefused, Remote: true})); v.fail != errRefused {
		t.Errorf("%+v", v)
	}
	for host, want := range map[string]bool{
		"127.0.0.1": true, "127.9.8.7": true, "::1": true, "::ffff:127.0.0.1": true, "localhost": true, "LocalHost.": true, "a.localhost": true,
		"203.0.113.7": false, "localhost.example": false, "": false,
	} {
		if loopback(host) != want {
			t.Errorf("%q: %v", host, !want)
		}
	}
}

// TestAStuckClientSaysWhatToDo: each cause of a standstill has a fix of its own, and the
// request that waited for it carries that one. Spec: product CLI-7, SOCKS-11.
func TestAStuckClientSaysWhatToDo(t *testing.T) {
	seen := map[string]string{CauseFix(""): "none"}
	for _, cause := range []string{"clock_skew", "no_route", "refused", "filtered", "proxy_auth", "no_peers", "directory_stale", "disk"} {
		fix := CauseFix(cause)
		if other, twice := seen[fix]; twice {
			t.Errorf("%s has the fix of %s", cause, other)
		}
		seen[fix] = cause
	}
	testutil.Bubble(t, func(t *testing.T) {
		c := bare(ending(1, web))
		c.ready, c.over = make(chan struct{}), make(chan struct{})
		c.stuck(link.ErrNetworkDown)
		began := time.Now()
		err := c.awaitReady(t.Context(), nil)
		var f *Failure
		if !errors.As(err, &f) || f.Reason() != "starting" || f.Fix() != CauseFix("no_route") || time.Since(began) != startPatience {
			t.Errorf("after %v: %v, %v", time.Since(began), err, f)
		}
	})
}
