// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
	"errors"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"chive/directory/record"
)

// UpOptions say what one process is to be: a client, and a relay if its user said yes.
// Both have one state folder, one control socket and one log, which the client's options
// name; keys, guards and files are apart within it.
//
// Spec: product §2 (CLI-2).
type UpOptions struct {
	Client ClientOptions
	Relay  *RelayOptions // nil: this process only uses the network
	// Without is called when nobody would reach the relay, and the client goes on without
	// one; f says why. Nil: that is the end of both.
	Without func(f *Fault)
}

// RunUp runs a client, and a relay beside it if there is to be one, until ctx ends; then
// it returns nil once the relay has drained. What ends one of them ends the other: a
// relay that stopped in silence would be missed by its operator, and a client by its
// user.
func RunUp(ctx context.Context, o UpOptions) error {
	c, err := prepareClient(o.Client)
	if err != nil {
		return err
	}
	defer c.state.Close()
	var r *relayRun // nil: none, or none yet
	late := false
	if o.Relay != nil {
		r, err = prepareRelay(ctx, *o.Relay, c.state)
		var f *Fault
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return nil
		case o.Without != nil && errors.As(err, &f) && f.Code == missingCode:
			o.Without(f)
			late = f.later
		default:
			return err
		}
	}
	if err := c.listen(); err != nil {
		if r != nil {
			r.close()
		}
		return err
	}
	if r != nil {
		if err := c.beginRelay(r); err != nil {
			c.closeSockets()
			return err
		}
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var relaying sync.WaitGroup
	switch {
	case r != nil:
		relaying.Go(c.putBeside(ctx, r, end))
	case late:
		relaying.Go(func() {
			if r := c.lateRelay(ctx, *o.Relay); r != nil {
				c.putBeside(ctx, r, end)()
			}
		})
	}
	err = c.run(ctx)
	end(err)
	relaying.Wait()
	if err == nil {
		err = stopped(ctx)
	}
	return err
}

// beginRelay has a relay that is prepared begin beside the client, whose front is open.
// After an error it is closed.
func (c *clientRun) beginRelay(r *relayRun) error {
	r.beside, r.front, r.hub = c.role, c.front, &c.front.hub
	err := r.begin()
	if err != nil {
		r.close()
	}
	return err
}

// putBeside shows a relay that has begun, and returns what runs and closes it.
func (c *clientRun) putBeside(ctx context.Context, r *relayRun, end context.CancelCauseFunc) (run func()) {
	c.beside.Store(&besideRelay{run: r, source: r.source(), drain: func(after time.Duration) {
		teller(r.o.Tell)(drainWords)
		r.live.Load().DrainWithin(after)
		end(nil)
	}})
	return func() {
		defer r.close()
		end(r.run(ctx, nil))
	}
}

// lateRelay waits until a router forwards a port, and makes the relay then. Nil: ctx has
// ended, or it cannot be made, which is told; the client goes on. Spec: product REL-8.
func (c *clientRun) lateRelay(ctx context.Context, o RelayOptions) *relayRun {
	o.Waits = func(*Fault) {}
	before := o.Effect.following()
	r, err := prepareRelay(ctx, o, c.state)
	if err == nil {
		err = c.beginRelay(r)
	}
	if err != nil {
		o.Effect.forget(before)
	}
	switch {
	case err == nil:
		// The configuration may have been read again while it waited.
		if err := o.Effect.catchUp(before); err != nil {
			teller(c.o.Tell)(err.Error() + ". The relay that begins now goes by what the configuration said at the start.")
		}
		return r
	case ctx.Err() == nil:
		teller(c.o.Tell)(err.Error() + ". There is a place for a relay now, but it cannot start; the client goes on without.")
	}
	return nil
}

// found makes a relay where the state folder has none: its keys, and what it declares. An
// address that nobody has said is that of this machine, or is found at each start.
func (r *relayRun) found(ctx context.Context) error {
	kept, err := r.state.readDeclared()
	if err != nil {
		return err
	}
	there, err := r.state.hasKeys()
	if err != nil || there && len(kept.Addresses) > 0 {
		return err
	}
	o := InitOptions{Declaring: r.o.Declaring, Genesis: r.o.Genesis}
	if len(o.Addresses) == 0 {
		own, err := r.locate(ctx)
		if err != nil {
			return err
		}
		for _, a := range own {
			o.Addresses = append(o.Addresses, a.String())
		}
		o.Find = len(own) == 0
	}
	_, err = r.state.Init(o, rand.Reader, time.Now())
	return err
}

// BehindRouter reports whether a relay that listens there has no public address of this
// machine, so that others reach it only if a router forwards its port. False for loopback,
// and for what is no address.
func BehindRouter(listen string) bool {
	at, err := netip.ParseAddrPort(listen)
	if err != nil || at.Addr().IsLoopback() {
		return false
	}
	own, err := ownAddress(at)
	return err != nil || !record.Public(own.Addr())
}

// ownAddress is where others reach this machine's relay: where it listens, if that is one
// address, else the first public address of an interface that lasts.
func ownAddress(listen netip.AddrPort) (netip.AddrPort, error) {
	if !listen.Addr().IsUnspecified() {
		return listen, nil
	}
	own, _, err := lastingAddrs()
	if err == nil {
		for _, a := range own {
			if a = a.Unmap(); record.Public(a) && (listen.Addr().Is6() || a.Is4()) {
				return netip.AddrPortFrom(a, listen.Port()), nil
			}
		}
	}
	return netip.AddrPort{}, fault(Usage, missingCode,
		"Forward port "+strconv.Itoa(int(listen.Port()))+" of your router to this machine and say the router's address: --address IP:PORT. Or go on without: --no-relay.",
		"This machine has no public address of its own, so nobody would reach a relay on it")
}
