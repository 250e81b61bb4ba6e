// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// pollEvery is how often Poll asks.
const pollEvery = 20 * time.Millisecond

// Poll calls try until it returns true, an error, or ctx ends.
func Poll(ctx context.Context, try func() (bool, error)) error {
	t := time.NewTicker(pollEvery)
	defer t.Stop()
	for {
		done, err := try()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
		}
	}
}

// Ports finds free TCP ports on loopback, below the range from which systems take
// ports for outgoing connections, so that nobody takes one meanwhile. The zero
// value is ready; it may be used by several goroutines.
type Ports struct {
	mu   sync.Mutex
	next uint16
}

const (
	firstPort = 20_000
	lastPort  = 32_000
)

// ErrPorts says that no port is free.
var ErrPorts = errors.New("lab: no free port")

// Next returns a port that nobody uses and that Next has not returned lately.
func (p *Ports) Next() (uint16, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for range lastPort - firstPort {
		switch {
		case p.next == 0: // anywhere: other programs begin at round numbers
			p.next = firstPort + rand.N[uint16](lastPort-firstPort)
		case p.next >= lastPort:
			p.next = firstPort
		}
		port := p.next
		p.next++
		ln, err := net.Listen("tcp4", netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port).String())
		if err == nil {
			_ = ln.Close()
			return port, nil
		}
	}
	return 0, ErrPorts
}
