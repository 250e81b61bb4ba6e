// SPDX-License-Identifier: BSD-3-Clause

package circuit

import "errors"

// Reason says why a circuit ended: the code of DESTROY and TRUNCATED.
// Spec: protocol §5.
type Reason byte

// Reasons of DESTROY and TRUNCATED.
const (
	ReasonNone        Reason = 0
	ReasonProtocol    Reason = 1
	ReasonBusy        Reason = 2
	ReasonLinkLost    Reason = 3
	ReasonUnreachable Reason = 4
	ReasonRefused     Reason = 5
	ReasonUnknownKey  Reason = 6
	ReasonDraining    Reason = 7
	ReasonInternal    Reason = 8
)

// reasonOf reads a reason's code; an unknown one counts as internal.
func reasonOf(code byte) Reason { return min(Reason(code), ReasonInternal) }

// String returns the reason's name in the specification's words.
func (r Reason) String() string {
	switch r {
	case ReasonNone:
		return "none"
	case ReasonProtocol:
		return "protocol"
	case ReasonBusy:
		return "busy"
	case ReasonLinkLost:
		return "link lost"
	case ReasonUnreachable:
		return "unreachable"
	case ReasonRefused:
		return "refused"
	case ReasonUnknownKey:
		return "unknown key"
	case ReasonDraining:
		return "draining"
	}
	return "internal"
}

// EndReason says why a stream ended or a name was not resolved: the code of END
// and RESOLVED. Spec: protocol §5.
type EndReason byte

// Reasons of END and RESOLVED.
const (
	EndDone         EndReason = 0
	EndRefused      EndReason = 1
	EndUnresolvable EndReason = 2
	EndUnreachable  EndReason = 3
	EndTimeout      EndReason = 4
	EndPolicy       EndReason = 5
	EndReset        EndReason = 6
	EndBusy         EndReason = 7
	EndProtocol     EndReason = 8
	EndInternal     EndReason = 9
)

// endReasonOf reads a reason's code; an unknown one counts as internal.
func endReasonOf(code byte) EndReason { return min(EndReason(code), EndInternal) }

// String returns the reason's name in the specification's words.
func (r EndReason) String() string {
	switch r {
	case EndDone:
		return "done"
	case EndRefused:
		return "refused"
	case EndUnresolvable:
		return "unresolvable"
	case EndUnreachable:
		return "unreachable"
	case EndTimeout:
		return "timeout"
	case EndPolicy:
		return "policy"
	case EndReset:
		return "reset"
	case EndBusy:
		return "busy"
	case EndProtocol:
		return "protocol"
	}
	return "internal"
}

// ErrProtocol says that the other side broke the protocol. Decryption, MAC,
// parse and limit faults alike are this one error.
var ErrProtocol = errors.New("circuit: the other side broke the protocol")

// ErrOverflow says that answers queued faster than the circuit takes them.
var ErrOverflow = errors.New("circuit: too much is queued on this circuit")

// ErrStreams says that a circuit has used up its stream numbers or holds as
// many streams as it may.
var ErrStreams = errors.New("circuit: no further stream fits on this circuit")

// ErrState says that the owner asked for something the circuit's state does not
// allow.
var ErrState = errors.New("circuit: not possible in this state")

// ReasonOf returns the reason to send in DESTROY for an error of this package.
func ReasonOf(err error) Reason {
	switch {
	case errors.Is(err, ErrProtocol):
		return ReasonProtocol
	case errors.Is(err, ErrOverflow), errors.Is(err, ErrStreams):
		return ReasonBusy
	}
	return ReasonInternal
}

// StreamError is the error of a stream that ended before its time.
type StreamError struct {
	// Reason is what the other side said, or what ended it here.
	Reason EndReason
	// Remote reports whether the reason came from the other side.
	Remote bool
}

// Error describes the reason without saying which stream it was.
func (e *StreamError) Error() string { return "circuit: stream ended: " + e.Reason.String() }
