// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestReasonsHaveTheNamesOfTheSpecification(t *testing.T) {
	circuits := "none, protocol, busy, link lost, unreachable, refused, unknown key, draining, internal"
	for i, want := range strings.Split(circuits, ", ") {
		if r := reasonOf(byte(i)); r.String() != want || r != Reason(i) {
			t.Errorf("%d is %q", i, r)
		}
	}
	streams := "done, refused, unresolvable, unreachable, timeout, policy, reset, busy, protocol, internal"
	for i, want := range strings.Split(streams, ", ") {
		if r := endReasonOf(byte(i)); r.String() != want || r != EndReason(i) {
			t.Errorf("%d is %q", i, r)
		}
	}
	for code := range 256 {
		if code > 8 && (reasonOf(byte(code)) != ReasonInternal || Reason(code).String() != "internal") {
			t.Errorf("unknown reason %d is not internal", code)
		}
		if code > 9 && (endReasonOf(byte(code)) != EndInternal || EndReason(code).String() != "internal") {
			t.Errorf("unknown reason %d of END is not internal", code)
		}
	}
}

func TestEveryErrorHasItsReason(t *testing.T) {
	for err, want := range map[error]Reason{
		ErrProtocol: ReasonProtocol, ErrOverflow: ReasonBusy, ErrStreams: ReasonBusy,
		ErrState: ReasonInternal, errors.New("any other"): ReasonInternal,
		fmt.Errorf("wrapped: %w", ErrProtocol): ReasonProtocol,
	} {
		if got := ReasonOf(err); got != want {
			t.Errorf("%v gives %v", err, got)
		}
	}
	if text := (&StreamError{Reason: EndPolicy}).Error(); !strings.Contains(text, "policy") {
		t.Error(text)
	}
}
