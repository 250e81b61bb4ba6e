// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chive/directory"
	"chive/directory/record"
	"chive/internal/redact"
)

// storing is a memory over a flaky store.
func storing() (*memory, *flakyStore) {
	s := &flakyStore{MemoryStore: NewMemoryStore()}
	return newMemory(s, record.RID{1}), s
}

func descriptorOf(n byte) *directory.Store {
	return &directory.Store{
		Bucket: directory.BucketDesc, Key: append([]byte{record.ClassDescriptor}, slices.Repeat([]byte{n}, record.RIDSize)...), Value: []byte{n},
	}
}

// keysOf returns the first bytes of the values of a transaction, in order.
func valuesOf(writes []Write) (out []byte) {
	for _, w := range writes {
		out = append(out, w.Value[0])
	}
	return out
}

// TestOnlyDescriptorsOfOthersWait, up to five seconds, and for nothing longer than the
// next transaction, in which they stand in order.
func TestOnlyDescriptorsOfOthersWait(t *testing.T) {
	own := descriptorOf(0)
	own.Key = append([]byte{record.ClassDescriptor}, make([]byte, record.RIDSize)...)
	own.Key[1] = 1 // record.RID{1}
	digest := make([]byte, 32)
	for name, e := range map[string]*directory.Store{
		"own descriptor": own,
		"promise":        {Token: 7, Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{9}},
		"self, no token": {Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{9}},
		"state":          {Bucket: directory.BucketAux, Key: []byte{'S', 0}, Value: []byte{9}},
		"certificate":    {Bucket: directory.BucketCert, Key: digest, Value: []byte{9}},
		"private":        {Bucket: directory.BucketPeer, Key: []byte("private"), Value: []byte{9}},
		"tombstone":      {Bucket: directory.BucketDesc, Key: append([]byte{record.ClassTombstone}, digest...), Value: []byte{9}},
		"evidence":       {Bucket: directory.BucketDesc, Key: append([]byte{record.ClassEvidence}, digest...), Value: []byte{9}},
		"with a token":   {Token: 8, Bucket: directory.BucketDesc, Key: descriptorOf(3).Key, Value: []byte{9}},
	} {
		m, s := storing()
		now := time.Unix(1_000_000, 0)
		m.add(now, descriptorOf(2))
		m.add(now, descriptorOf(3))
		if answers := m.settle(now); len(s.puts) != 0 || answers != nil {
			t.Fatal("descriptors of others did not wait")
		}
		m.add(now, e)
		answers := m.settle(now)
		want := []byte{2, 3, e.Value[0]}
		if e.Token == 8 { // of the same key: in place
			want = []byte{2, 9}
		}
		if len(s.puts) != 1 || !slices.Equal(valuesOf(s.puts[0]), want) {
			t.Errorf("%s: %d transactions", name, len(s.puts))
		}
		if e.Token != 0 && !slices.Equal(answers, []directory.Stored{{Token: e.Token, OK: true}}) || e.Token == 0 && answers != nil {
			t.Errorf("%s: answers %v", name, answers)
		}
	}
	m, s := storing()
	now := time.Unix(1_000_000, 0)
	m.add(now, descriptorOf(2))
	m.add(now.Add(time.Second), descriptorOf(3))
	m.add(now, &directory.Store{Bucket: directory.BucketCand, Key: make([]byte, record.RIDSize), Value: []byte{5}})
	if m.settle(now); len(s.puts) != 0 {
		t.Error("a candidate does not wait")
	}
	m.add(now.Add(2*time.Second), &directory.Store{Bucket: directory.BucketDesc, Key: descriptorOf(2).Key, Value: []byte{4}})
	if due := m.due(); !due.Equal(now.Add(batchFor)) {
		t.Errorf("due at %v", due)
	}
	m.tick(now.Add(batchFor - 1))
	if len(s.puts) != 0 {
		t.Error("written too early")
	}
	m.tick(now.Add(batchFor))
	if len(s.puts) != 1 || !slices.Equal(valuesOf(s.puts[0]), []byte{4, 3, 5}) || !m.due().IsZero() {
		t.Errorf("written %d times, due %v", len(s.puts), m.due())
	}
}

// TestAPromiseThatCannotBeStoredIsGivenUp and never written later, while the rest is
// tried again.
func TestAPromiseThatCannotBeStoredIsGivenUp(t *testing.T) {
	m, s := storing()
	now := time.Unix(1_000_000, 0)
	s.fail(syscall.ENOSPC)
	m.add(now, &directory.Store{Bucket: directory.BucketAux, Key: []byte("S"), Value: []byte{1}})
	m.settle(now)
	m.add(now, &directory.Store{Token: 5, Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{2}})
	if answers := m.settle(now); !slices.Equal(answers, []directory.Stored{{Token: 5, OK: false}}) {
		t.Errorf("answers %v", answers)
	}
	if m.failed != redact.DiskFull || m.words() == "" {
		t.Errorf("the reason is %v", m.failed)
	}
	if !strings.Contains(m.words(), "the disk is full") || !strings.HasPrefix(m.fix(), "Make room on the disk") {
		t.Errorf("%q, %q: neither cause nor fix", m.words(), m.fix())
	}
	m.add(now, &directory.Store{Bucket: directory.BucketAux, Key: []byte("S"), Value: []byte{3}})
	tries := s.tries
	for range 100 {
		m.settle(now.Add(retryStore - 1))
	}
	if s.tries != tries {
		t.Error("a failing store is asked all the time")
	}
	s.fail(nil)
	m.tick(now.Add(retryStore))
	if len(s.puts) != 1 || !slices.Equal(valuesOf(s.puts[0]), []byte{3}) || m.words() != "" {
		t.Errorf("afterwards %d transactions, %q", len(s.puts), m.words())
	}
	m.add(now, &directory.Store{Token: 6, Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{4}})
	if answers := m.settle(now); !slices.Equal(answers, []directory.Stored{{Token: 6, OK: true}}) {
		t.Errorf("answers %v", answers)
	}
	if m.words()+m.fix() != "" {
		t.Errorf("%q, %q, and it works again", m.words(), m.fix())
	}
}

// TestEachFaultOfAStoreHasItsFix: another one than that of a full disk.
func TestEachFaultOfAStoreHasItsFix(t *testing.T) {
	seen := map[string]bool{}
	for why, want := range map[error]string{
		syscall.ENOSPC: "Make room", syscall.EROFS: "Mount", syscall.EIO: "checked", syscall.EACCES: "the user whom the relay runs as", errors.New("broken"): "Check the disk",
	} {
		m, s := storing()
		now := time.Unix(1_000_000, 0)
		s.fail(why)
		m.add(now, &directory.Store{Token: 5, Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{2}})
		m.settle(now)
		if fix := m.fix(); !strings.Contains(fix, want) || seen[fix] {
			t.Errorf("%v: %q", why, fix)
		}
		seen[m.fix()] = true
	}
	if gone := (&memory{gone: true}).fix(); !strings.Contains(gone, "Start the relay again") {
		t.Errorf("the file is gone: %q", gone)
	}
}

// TestWhatWaitsForAStoreIsBounded: beyond the bound it is what may be lost that is.
func TestWhatWaitsForAStoreIsBounded(t *testing.T) {
	m, s := storing()
	s.fail(errors.New("broken"))
	now := time.Unix(1_000_000, 0)
	for i := range maxUnwritten + 10 {
		key := append([]byte{record.ClassDescriptor}, make([]byte, record.RIDSize)...)
		key[1], key[2], key[3], key[4] = 2, byte(i), byte(i>>8), byte(i>>16)
		m.add(now, &directory.Store{Bucket: directory.BucketDesc, Key: key, Value: []byte{1}})
	}
	if len(m.writes) != maxUnwritten || m.dropped != 10 {
		t.Errorf("%d wait, %d were dropped", len(m.writes), m.dropped)
	}
	m.add(now, &directory.Store{Token: 1, Bucket: directory.BucketSelf, Key: []byte("memory"), Value: []byte{2}})
	if len(m.writes) != maxUnwritten+1 {
		t.Error("a promise was dropped")
	}
}

// TestTheClockNeverGoesBack and tells when it was set.
func TestTheClockNeverGoesBack(t *testing.T) {
	wall := time.Now()
	c := newClock(func() time.Time { return wall })
	wall = wall.Add(-time.Hour)
	now, jump := c.now()
	if !now.Equal(c.began) || jump < time.Hour-time.Minute {
		t.Errorf("set back by an hour it shows %v, jump %v", now, jump)
	}
	wall = wall.Add(2 * time.Hour)
	now, jump = c.now()
	if !now.Equal(wall.Round(0)) || jump < time.Hour-time.Minute {
		t.Errorf("set ahead by an hour it shows %v, jump %v", now, jump)
	}
	wall = wall.Add(-time.Hour + time.Second)
	if again, jump := c.now(); again.Before(now) || jump > time.Minute {
		t.Errorf("it went back to %v, jump %v", again, jump)
	}
}

// TestCallsThatAreEndedAtOnceBecomeRare. Spec: GOS-12.
func TestCallsThatAreEndedAtOnceBecomeRare(t *testing.T) {
	r := redial{least: time.Second}
	rid := record.RID{7}
	dialled := 0
	for range 200 {
		if r.may(rid) {
			dialled++
			r.ended(rid, 10*time.Millisecond)
		}
	}
	if dialled > 40 {
		t.Errorf("%d of 200 calls", dialled)
	}
	for !r.may(rid) {
	}
	r.ended(rid, time.Minute)
	if len(r.flaky) != 0 || !r.may(rid) {
		t.Error("a stream that lasts is held against it")
	}
	for n := range 3 * maxFlaky {
		r.ended(record.RID{1, byte(n), byte(n >> 8)}, 0)
	}
	if len(r.flaky) > maxFlaky {
		t.Errorf("%d relays are remembered", len(r.flaky))
	}
}
