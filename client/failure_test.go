// SPDX-License-Identifier: BSD-3-Clause

package client

import (
	"context"
	"errors"
	"testing"

	"chive/circuit"
	"chive/circuit/carrier"
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
