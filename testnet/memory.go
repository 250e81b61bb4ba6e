// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"net"
	"net/netip"

	"chive/internal/memnet"
	"chive/link"
	"chive/relay/exit"
)

// Memory is the Fabric of a network in memory, for virtual time. Every relay has
// an address in a /16 of its own.
type Memory struct {
	net *memnet.Network
}

// NewMemory returns a Fabric on n. n belongs to the bubble that made it.
func NewMemory(n *memnet.Network) *Memory { return &Memory{net: n} }

// linkPort is where relays in memory accept links.
const linkPort = 9240

// RelayAddr returns the address of relay i.
func (f *Memory) RelayAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + i>>8), byte(i), 0, 1})
}

// ClientAddr returns the address of client i.
func (f *Memory) ClientAddr(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{13, byte(i >> 8), byte(i), 1})
}

// targetHost is where the built-in web server stands in memory.
var targetHost = netip.AddrFrom4([4]byte{14, 0, 0, 1})

// Relay implements Fabric.
func (f *Memory) Relay(i int) (link.Transport, netip.AddrPort, error) {
	addr := f.RelayAddr(i)
	return f.net.Host(addr), netip.AddrPortFrom(addr, linkPort), nil
}

// Exit implements Fabric.
func (f *Memory) Exit(i int) exit.Network {
	return &guided{Network: f.net.Host(f.RelayAddr(i)), to: func() netip.AddrPort {
		return netip.AddrPortFrom(targetHost, 80)
	}}
}

// Client implements Fabric.
func (f *Memory) Client(i int) link.Transport { return f.net.Host(f.ClientAddr(i)) }

// Target implements Fabric.
func (f *Memory) Target() (net.Listener, error) {
	return f.net.Host(targetHost).Listen(netip.AddrPortFrom(targetHost, 80))
}

// Close implements Fabric; a network in memory needs none.
func (f *Memory) Close() {}
