// SPDX-License-Identifier: BSD-3-Clause

package nat

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	natpmp "github.com/jackpal/go-nat-pmp"
)

// pmp asks by NAT-PMP (RFC 6886), at the router's port 5351.
type pmp struct{ client *natpmp.Client }

func newNATPMP(gateway netip.Addr, timeout time.Duration) pmp {
	// Two questions are asked in the time of one try.
	return pmp{natpmp.NewClientWithTimeout(net.IP(gateway.AsSlice()), timeout/2)}
}

func (p pmp) add(ctx context.Context, port, external uint16, lease time.Duration) (Mapping, error) {
	if ctx.Err() != nil {
		return Mapping{}, ctx.Err()
	}
	outside, err := p.client.GetExternalAddress()
	if err != nil {
		return Mapping{}, pmpError(err)
	}
	addr := netip.AddrFrom4(outside.ExternalIPAddress)
	if ctx.Err() != nil {
		return Mapping{}, ctx.Err()
	}
	got, err := p.client.AddPortMapping("tcp", int(port), int(external), int(lease/time.Second))
	if err != nil {
		return Mapping{}, pmpError(err)
	}
	if got.InternalPort != port || got.MappedExternalPort == 0 {
		return Mapping{}, failure{BadAnswer}
	}
	granted := min(time.Duration(got.PortMappingLifetimeInSeconds)*time.Second, lease)
	if granted <= 0 {
		return Mapping{}, failure{Refused}
	}
	return Mapping{Method: NATPMP, External: netip.AddrPortFrom(addr, got.MappedExternalPort), Lease: granted}, nil
}

func (p pmp) remove(_ context.Context, port, _ uint16) error {
	_, err := p.client.AddPortMapping("tcp", int(port), 0, 0)
	return err
}

// pmpError classifies an error of the module. It tells refusals from silence by its
// text only, so that is left open.
func pmpError(err error) error {
	var unreachable *net.OpError
	if errors.As(err, &unreachable) {
		return failure{NoAnswer}
	}
	return failure{NoPort}
}
