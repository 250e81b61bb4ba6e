// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"errors"
	"fmt"
)

// What a Follower's requests come to.
var (
	// ErrForged means a source that broke the protocol, or sent a certificate that
	// does not hold: drop it for good.
	ErrForged = errors.New("sync: forged or broken answer")
	// ErrIllegal means a snapshot that a quorum signed and that breaks a rule. It is an
	// ErrForged; Illegal has the certificate.
	ErrIllegal = fmt.Errorf("sync: signed against the rules: %w", ErrForged)
	// ErrOrphan means a source whose history does not have our header: it is forked, or
	// we are. Fork has both certificates.
	ErrOrphan = errors.New("sync: another history")
	// ErrSplit means a valid certificate for another header of our own epoch: two views
	// were made. It is an ErrOrphan; Evidence has the proof.
	ErrSplit = fmt.Errorf("sync: two final snapshots of one epoch: %w", ErrOrphan)
	// ErrBusy means a source that does not answer now: ask it later, or another.
	ErrBusy = errors.New("sync: busy")
	// ErrAbsent means a source that does not hold what is needed: ask another.
	ErrAbsent = errors.New("sync: not held there")
	// ErrTooOld means that no hand-over leads from what we believe to what a source
	// holds. If every source says so, a newer anchor is needed.
	ErrTooOld = errors.New("sync: anchor too old")
	// ErrAhead means a source whose newest snapshot lies ahead of our clock. It comes in an
	// AheadError.
	ErrAhead = errors.New("sync: ahead of our clock")
	// ErrSaved means saved bytes that are damaged, of another network or version.
	ErrSaved = errors.New("sync: saved state unusable")
)

// AheadError is ErrAhead, and says how far.
type AheadError struct {
	Epoch uint64 // of the list that a quorum has signed
}

// Error returns the text of ErrAhead.
func (e *AheadError) Error() string { return ErrAhead.Error() }

// Unwrap returns ErrAhead.
func (e *AheadError) Unwrap() error { return ErrAhead }
