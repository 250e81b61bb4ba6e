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
	"chive/relay/exit"
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
	alone := func() error {
		if err := c.listen(); err != nil {
			return err
		}
		return c.run(ctx, nil)
	}
	if o.Relay == nil {
		return alone()
	}
	r, err := prepareRelay(ctx, *o.Relay, c.state)
	var f *Fault
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return nil
	case o.Without != nil && errors.As(err, &f) && f.Code == missingCode:
		o.Without(f)
		return alone()
	default:
		return err
	}
	defer r.close()
	r.beside = c.role
	if err := c.listen(); err != nil {
		return err
	}
	r.front, r.hub = c.front, &c.front.hub
	if err := r.begin(); err != nil {
		c.closeSockets()
		return err
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	var relaying sync.WaitGroup
	c.drain = func(after time.Duration) {
		r.live.Load().DrainWithin(after)
		end(nil)
	}
	relaying.Go(func() { end(r.run(ctx, nil)) })
	err = c.run(ctx, r)
	end(err)
	relaying.Wait()
	if err == nil {
		err = stopped(ctx)
	}
	return err
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

// ownAddress is where others reach this machine's relay: where it listens, if that is one
// address, else the first public address of an interface.
func ownAddress(listen netip.AddrPort) (netip.AddrPort, error) {
	if !listen.Addr().IsUnspecified() {
		return listen, nil
	}
	own, err := exit.InterfaceAddrs()
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
