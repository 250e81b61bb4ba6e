// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"crypto/rand"
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
	if o.Relay == nil {
		if err := c.listen(); err != nil {
			return err
		}
		return c.run(ctx, nil)
	}
	r, err := prepareRelay(*o.Relay, c.state)
	if err != nil {
		return err
	}
	defer r.close()
	if err := c.listen(); err != nil {
		return err
	}
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
// address that nobody has said is that of this machine.
func (r *relayRun) found() error {
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
		own, err := ownAddress(r.listen)
		if err != nil {
			return err
		}
		o.Addresses = []string{own.String()}
	}
	_, err = r.state.Init(o, rand.Reader, time.Now())
	return err
}

// RelayAddressMissing returns the fault that keeps a machine from being a relay because
// nothing says where others would reach it: no option, no declaration kept in the state
// folder, and no public address of its own. It changes nothing. Nil: there is one, or
// another fault will be said by RunUp.
func RelayAddressMissing(o RelayOptions) error {
	listen, err := parseListen("--listen", o.Listen)
	if err != nil || len(o.Addresses) > 0 {
		return nil
	}
	s, err := OpenState(o.State)
	if err != nil {
		return nil
	}
	if kept, err := s.readDeclared(); err != nil || len(kept.Addresses) > 0 {
		return nil
	}
	_, err = ownAddress(listen)
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
	return netip.AddrPort{}, fault(Usage, "address_missing",
		"Forward port "+strconv.Itoa(int(listen.Port()))+" of your router to this machine and say the router's address: --address IP:PORT. Or go on without: --no-relay.",
		"This machine has no public address of its own, so nobody would reach a relay on it")
}
