// SPDX-License-Identifier: BSD-3-Clause

package sync

import "chive/directory/snapshot"

// Verdict is what a relay's HEADER answer means to a client that holds a header of
// that epoch.
type Verdict byte

// Verdicts.
const (
	// Same: the relay has the client's header.
	Same Verdict = iota
	// Differs: it reports another header for the epoch. One of the two sides was
	// given a false table; both certificates are to be fetched and compared.
	Differs
	// Skipped: it says that the epoch has no snapshot.
	Skipped
	// Unknown: it refused, was busy, or holds no header of the epoch.
	Unknown
	// Broken: what it sent is no header of that network and epoch. The relay is
	// not to be asked again.
	Broken
)

// Check compares a relay's answer to a HEADER request for view's epoch with what
// the client holds. Spec: directory §8 (CHECK).
func Check(view snapshot.View, a *Answer) Verdict {
	switch {
	case a.Code == CodeRefused:
		return Unknown
	case a.Code != CodeHeader:
		return Broken
	case len(a.Header) == 0:
		return Skipped
	}
	ours := view.Header()
	theirs, err := snapshot.DecodeHeader(a.Header)
	if err != nil || theirs.NetworkID != ours.NetworkID || theirs.Epoch != ours.Epoch {
		return Broken
	}
	if theirs.Digest() != ours.Digest() {
		return Differs
	}
	return Same
}

// CheckRequest returns the request whose answer Check judges.
func CheckRequest(view snapshot.View) *Request {
	return &Request{Code: CodeHeader, Epoch: view.Epoch()}
}
