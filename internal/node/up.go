// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"sync"
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
	relaying.Go(func() { end(r.run(ctx, nil)) })
	err = c.run(ctx, r)
	end(err)
	relaying.Wait()
	if err == nil {
		err = stopped(ctx)
	}
	return err
}
