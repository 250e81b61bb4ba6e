// SPDX-License-Identifier: BSD-3-Clause

package directory

import (
	"chive/directory/vote"
)

// forkKey is where the certificates of a fork are stored.
var forkKey = []byte("fork")

// forkDays is for how many days a fork is told of after the other history's epoch: as
// long as certificates are kept. Spec: directory §3, §6 (choice).
const forkDays = 90

// Fork is two histories that a quorum has signed, neither of which holds the other's end.
type Fork struct {
	Ours   *vote.Certificate // of the snapshot that was our newest one; nil: snapshot 0
	Theirs *vote.Certificate
}

// Fork returns the first other history that was met, over restarts too, for 90 days after
// its epoch; nil: none.
func (m *Machine) Fork() *Fork { return m.fork }

// forked keeps both sides of a fork, of the first that is met, and tells of each.
// Spec: directory §6 (choice).
func (m *Machine) forked(ours, theirs *vote.Certificate) {
	m.keepBoth(ours, theirs)
	if m.fork == nil {
		m.fork = &Fork{Ours: ours, Theirs: theirs}
		m.keep(BucketSelf, forkKey, m.fork.encode())
	}
	m.emit(Report{What: ReportForked})
}

// expireFork forgets one of long ago.
func (m *Machine) expireFork() {
	if m.fork != nil && m.doc.EpochAt(m.now) > m.fork.Theirs.Header.Epoch+uint64(forkDays*max(m.p.Day, 1)) {
		m.fork = nil
		m.keep(BucketSelf, forkKey, nil)
	}
}

// encode returns what is stored: both certificates, each behind its size.
func (f *Fork) encode() []byte {
	var ours []byte
	if f.Ours != nil {
		ours = f.Ours.Encode()
	}
	return appendPiece(appendPiece(nil, ours), f.Theirs.Encode())
}

// loadFork reads what was stored; what cannot be read is left out.
func loadFork(data []byte) *Fork {
	ours, data, ok := cutPiece(data, vote.MaxCertificateSize)
	if !ok {
		return nil
	}
	theirs, data, ok := cutPiece(data, vote.MaxCertificateSize)
	if !ok || len(data) > 0 {
		return nil
	}
	f := &Fork{}
	var err error
	if len(ours) > 0 {
		if f.Ours, err = vote.DecodeCertificate(ours); err != nil {
			return nil
		}
	}
	if f.Theirs, err = vote.DecodeCertificate(theirs); err != nil {
		return nil
	}
	return f
}
