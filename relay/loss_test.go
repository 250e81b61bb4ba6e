// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"chive/directory/genesis"
)

// damagedStore says that what it held is lost, until something was put.
type damagedStore struct {
	*MemoryStore
	put bool
}

func (s *damagedStore) Damaged() bool { return !s.put }

func (s *damagedStore) Put(w []Write) error {
	s.put = true
	return s.MemoryStore.Put(w)
}

// TestLostPromisesAreFixedByAConfirmedClock: a machine that starts with a clock years off
// takes no seat until neighbours confirm the time, and then none until the terms of that
// time are over. Spec: EPOCH-11.
func TestLostPromisesAreFixedByAConfirmedClock(t *testing.T) {
	doc := &genesis.Document{Params: genesis.Testnet(), Time: time.Unix(1_700_000_000, 0)}
	s := &damagedStore{MemoryStore: NewMemoryStore()}
	wrong, right := doc.Time.Add(10*365*24*time.Hour), doc.Time.Add(time.Hour)
	m := newMemory(s, [16]byte{1})
	if lost, err := m.seatsLost(doc, wrong); !lost || err != nil {
		t.Fatalf("%v, %v", lost, err)
	}
	m.settle(wrong)
	again := newMemory(s, [16]byte{1}) // restarted before anybody confirmed
	if lost, err := again.seatsLost(doc, right); !lost || err != nil {
		t.Fatalf("after a restart: %v, %v", lost, err)
	}
	again.confirmed(doc, right)
	again.settle(right)
	end := termsEnd(doc, doc.EpochAt(right))
	if again.loss != end {
		t.Errorf("until epoch %d, want %d", again.loss, end)
	}
	over := doc.Time.Add(time.Duration(end) * doc.Params.EpochLen)
	again.confirmed(doc, over)
	again.settle(over)
	last := newMemory(s, [16]byte{1})
	if lost, err := last.seatsLost(doc, over); lost || err != nil {
		t.Errorf("when the terms are over: %v, %v", lost, err)
	}
}

// slow takes one byte, then nothing until its deadline.
type slow struct{ taken int }

func (s *slow) SetWriteDeadline(time.Time) error { return nil }

func (s *slow) Write(b []byte) (int, error) {
	if s.taken > 0 {
		return 0, os.ErrDeadlineExceeded
	}
	s.taken++
	return 1, os.ErrDeadlineExceeded
}

// TestAnAnswerThatNobodyTakesEnds: the second deadline without a byte is the end.
func TestAnAnswerThatNobodyTakesEnds(t *testing.T) {
	s := &slow{}
	if err := deliver(s, make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) || s.taken != 1 {
		t.Errorf("%v after %d bytes", err, s.taken)
	}
	var all bytes.Buffer
	if err := deliver(struct{ io.Writer }{&all}, []byte("whole")); err != nil || all.String() != "whole" {
		t.Errorf("%q, %v", all.String(), err)
	}
}
