// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"crypto/subtle"
	"time"

	"chive/circuit/cell"
)

// window is the sender's half of congestion control: how many counted cells may
// be in flight, set from round-trip times in the manner of TCP Vegas.
// A counted cell is one that carries DATA or DATAGRAM.
//
// Spec: protocol §5; Tor proposal 324, section 3.3.
type window struct {
	p         Params
	size      int // cells that may be in flight
	inflight  int // counted cells begun and not yet acknowledged
	sent      int // counted cells sealed since the last remembered one
	slowStart bool
	full      bool // the window was used up since the last adjustment
	acked     int  // cells acknowledged since the last adjustment

	minRTT, rtt time.Duration
	marks       []mark // every AckEvery-th cell, oldest first
}

// mark remembers one cell whose acknowledgement is due.
type mark struct {
	tag  [cell.TagSize]byte
	sent time.Time
}

func newWindow(p Params) window {
	return window{p: p, size: p.WindowInit, slowStart: true}
}

// room reports whether one more counted cell may be begun.
func (w *window) room() bool {
	if w.inflight < w.size {
		return true
	}
	w.full = true
	return false
}

// begin takes one cell out of the window.
func (w *window) begin() { w.inflight++ }

// sealed records a counted cell that leaves now with the given wire tag.
func (w *window) sealed(now time.Time, tag [cell.TagSize]byte) {
	w.sent++
	if w.sent == w.p.AckEvery {
		w.sent = 0
		w.marks = append(w.marks, mark{tag, now})
	}
}

// ack takes an acknowledgement. It is ErrProtocol unless tag is that of the
// oldest cell whose acknowledgement is due.
func (w *window) ack(now time.Time, tag [cell.TagSize]byte) error {
	if len(w.marks) == 0 || subtle.ConstantTimeCompare(w.marks[0].tag[:], tag[:]) != 1 {
		return ErrProtocol
	}
	sample := max(now.Sub(w.marks[0].sent), time.Microsecond)
	w.marks = w.marks[1:]
	if len(w.marks) == 0 {
		w.marks = nil
	}
	w.inflight -= w.p.AckEvery
	w.acked += w.p.AckEvery
	w.measure(sample)
	w.adjust()
	return nil
}

// measure folds one round-trip time into the average and the minimum.
func (w *window) measure(sample time.Duration) {
	if w.rtt == 0 {
		w.rtt, w.minRTT = sample, sample
		return
	}
	// The average spans about one window of acknowledgements, as proposal
	// 324 does it: N = size / AckEvery, weight 2/(N+1).
	n := time.Duration(max(2, w.size/w.p.AckEvery))
	if w.slowStart {
		n = 2
	}
	w.rtt = (sample*2 + w.rtt*(n-1)) / (n + 1)
	w.minRTT = min(w.minRTT, w.rtt)
}

// adjust moves the window once per acknowledgement in slow start and once per
// window afterwards.
func (w *window) adjust() {
	capacity := int(int64(w.size) * int64(w.minRTT) / int64(w.rtt))
	queued := w.size - capacity
	switch {
	case w.slowStart:
		if queued >= w.p.Gamma {
			w.slowStart = false
			w.size = capacity + w.p.Gamma
		} else if w.full {
			w.size += w.p.AckEvery
		}
		w.acked, w.full = 0, false
	case w.acked < w.size:
		return
	default:
		switch {
		case queued > w.p.Delta:
			w.size = capacity + w.p.Delta - w.p.AckEvery/2
		case queued > w.p.Beta:
			w.size -= w.p.AckEvery / 2
		case queued < w.p.Alpha && w.full:
			w.size += w.p.AckEvery / 2
		}
		w.acked, w.full = 0, false
	}
	w.size = min(max(w.size, w.p.WindowMin), w.p.WindowMax)
}

// acker is the receiver's half: it says when an acknowledgement is due and when
// a sender cannot have kept to any window.
type acker struct {
	every  int
	limit  int // no sender's window is larger
	got    int // counted cells since the last acknowledgement
	unseen int // counted cells that no acknowledgement that left covers
}

func newAcker(p Params) acker { return acker{every: p.AckEvery, limit: p.WindowMax} }

// counted records one counted cell. due: its tag must be acknowledged. A cell
// that the largest window would have held back is ErrProtocol: its sender cannot
// have seen an acknowledgement that has not left.
func (a *acker) counted() (due bool, err error) {
	if a.unseen == a.limit {
		return false, ErrProtocol
	}
	a.unseen++
	a.got++
	if a.got < a.every {
		return false, nil
	}
	a.got = 0
	return true, nil
}

// left says that n acknowledgements are on their way.
func (a *acker) left(n int) { a.unseen = max(0, a.unseen-n*a.every) }
