// SPDX-License-Identifier: BSD-3-Clause

package lab

import (
	"context"
	"time"
)

// Role is what a relay does for the circuits of the client under test.
type Role string

// The roles. A relay that serves as guard of no client is a middle.
const (
	Guard  Role = "guard"
	Middle Role = "middle"
	Exit   Role = "exit"
)

// Relay is a running relay.
type Relay struct {
	*Process
	Port uint16 // where it takes links, on loopback
	Role Role   // empty: the network does not pin roles
}

// Network is a network of real processes.
type Network interface {
	// Relays are the running relays.
	Relays() []Relay
	// NewClient starts a client that knows nothing but how to reach the network.
	// It returns once the process runs, which may be long before it is ready.
	NewClient(ctx context.Context) (Client, error)
	// BuildTimes builds n circuits of three hops, one after the other, while the
	// link to the guard is open, and returns how long each took.
	BuildTimes(ctx context.Context, n int) ([]time.Duration, error)
	// Close ends every process and removes what they wrote.
	Close()
}

// Client is a running client with a SOCKS5 proxy.
type Client interface {
	// PID is the process.
	PID() int
	// Proxy is host:port of the SOCKS5 proxy.
	Proxy() string
	// WaitReady returns once the client says that it can be used.
	WaitReady(ctx context.Context) error
	// Idle opens n circuits that carry nothing, each of its own, and keeps them
	// until the client is closed. It returns how many there are now.
	Idle(ctx context.Context, n int) (int, error)
	// Close ends the client.
	Close()
}
