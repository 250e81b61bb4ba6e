// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
)

// Config is what an exit needs. Every field but Testnet must be set: what guards
// the exit's own network has no default.
type Config struct {
	// Network reaches the outside. A System is given the exit's judge.
	Network Network
	// Policy is what the operator permits. SetPolicy changes it later.
	Policy *Policy
	// Own returns the exit's own addresses: those of its interfaces
	// (InterfaceAddrs in the real system) and the published ones. It is asked
	// every ten seconds at most, and must be quick and safe for concurrent use.
	// Until it first succeeds no address is dialled, testnets' loopback aside.
	Own func() ([]netip.Addr, error)
	// Forbidden reports whether an address and port is closed to clients: the
	// links of relays, own control ports. It is asked about each address, IPv4
	// unwrapped, and must be quick and safe for concurrent use.
	Forbidden func(netip.AddrPort) bool
	// Testnet permits loopback beside what is public. It must come from the genesis document.
	// Spec: protocol §6.
	Testnet bool
}

// ErrConfig says that a Config lacks a field.
var ErrConfig = errors.New("exit: the configuration is incomplete")

// Exit is what all circuits of an exit share.
type Exit struct {
	net       Network
	ownSource func() ([]netip.Addr, error)
	forbidden func(netip.AddrPort) bool
	testnet   bool

	policy atomic.Pointer[Policy]
	own    atomic.Pointer[ownAddresses]
	count  counters
	names  nameCache

	mu    sync.Mutex
	inUse [resourceCount]int // by all circuits
}

// New checks c and returns an exit. It does no I/O. Error: ErrConfig.
func New(c Config) (*Exit, error) {
	if c.Network == nil || c.Policy == nil || c.Own == nil || c.Forbidden == nil {
		return nil, ErrConfig
	}
	e := &Exit{net: c.Network, ownSource: c.Own, forbidden: c.Forbidden, testnet: c.Testnet}
	if j, ok := c.Network.(Judged); ok {
		e.net = j.WithJudge(e.mayDial)
	}
	e.policy.Store(c.Policy)
	return e, nil
}

// mayDial is the judge in the form of a dialler's hook.
func (e *Exit) mayDial(target netip.AddrPort) bool { return e.judge(target) == public }

// SetPolicy replaces the policy for all that begins later. p must not be nil.
func (e *Exit) SetPolicy(p *Policy) { e.policy.Store(p) }

// Policy returns the policy in force.
func (e *Exit) Policy() *Policy { return e.policy.Load() }

// permitted keeps the addresses that the judge and the policy let pass with this
// port, in their order. A name with an address inside is refused as a whole.
// The error is ReasonPolicy when nothing is left.
func (e *Exit) permitted(protocol byte, addrs []netip.Addr, port uint16) ([]netip.AddrPort, error) {
	policy := e.policy.Load()
	var out []netip.AddrPort
	some := false // are public
	for _, a := range addrs {
		target := netip.AddrPortFrom(a, port)
		switch e.judge(target) {
		case inside:
			return nil, e.count.notPublic()
		case public:
			some = true
			if policy.Permits(protocol, a, port) {
				out = append(out, target)
			}
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case some:
		return nil, e.count.denied()
	}
	return nil, e.count.notPublic()
}
