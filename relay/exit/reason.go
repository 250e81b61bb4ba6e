// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"errors"

	"chive/internal/redact"
)

// Reason is the code of END and RESOLVED. Spec: protocol §5.
type Reason byte

// Reasons of END and RESOLVED, and how many there are.
const (
	ReasonDone         Reason = 0
	ReasonRefused      Reason = 1
	ReasonUnresolvable Reason = 2
	ReasonUnreachable  Reason = 3
	ReasonTimeout      Reason = 4
	ReasonPolicy       Reason = 5
	ReasonReset        Reason = 6
	ReasonBusy         Reason = 7
	ReasonProtocol     Reason = 8
	ReasonInternal     Reason = 9
	ReasonCount               = 10
)

// String returns the reason's name in the specification's words.
func (r Reason) String() string {
	names := [ReasonCount]string{
		"done", "refused", "unresolvable", "unreachable", "timeout", "policy", "reset", "busy", "protocol", "internal",
	}
	if r >= ReasonCount {
		r = ReasonInternal
	}
	return names[r]
}

// Error is every error of this package's operations: the reason and nothing else.
type Error struct{ Reason Reason }

// Error names the reason.
func (e Error) Error() string { return "exit: " + e.Reason.String() }

// ReasonOf returns the code to send for an error of this package, or of a
// connection that came from it. nil gives ReasonDone.
func ReasonOf(err error) Reason {
	if err == nil {
		return ReasonDone
	}
	var own Error
	if errors.As(err, &own) {
		return own.Reason
	}
	switch redact.Classify(err) {
	case redact.Ended:
		return ReasonDone
	case redact.Refused:
		return ReasonRefused
	case redact.NameNotFound, redact.ResolverFailed:
		return ReasonUnresolvable
	case redact.Unreachable, redact.AddressForeign, redact.NotPermitted: // no route, no source address, a local firewall
		return ReasonUnreachable
	case redact.Timeout:
		return ReasonTimeout
	case redact.Reset, redact.Closed, redact.Cancelled:
		return ReasonReset
	case redact.TooManyFiles, redact.OutOfMemory:
		return ReasonBusy
	}
	return ReasonInternal
}

// worth orders the reasons of several failed attempts at one destination: the
// one that says most about it is told.
func (r Reason) worth() int {
	switch r {
	case ReasonRefused, ReasonReset:
		return 4
	case ReasonTimeout:
		return 3
	case ReasonUnreachable:
		return 2
	case ReasonBusy:
		return 1
	}
	return 0
}
