// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"chive/circuit/cell"
)

// dgram is a datagram that carries a number.
func dgram(n, size int) cell.Datagram {
	b := make([]byte, max(4, size))
	binary.BigEndian.PutUint32(b, uint32(n))
	return cell.Datagram{Host: "192.0.2.1", Port: 53, Payload: b}
}

func number(d cell.Datagram) int { return int(binary.BigEndian.Uint32(d.Payload)) }

func TestDatagramsKeepTheirEdgesAndAddresses(t *testing.T) {
	w := newPath(t, 3, DefaultParams())
	c, r := w.udp()
	for _, from := range []*Stream{c, r} {
		to := r
		if from == r {
			to = c
		}
		for _, size := range []int{0, 1, 1400, cell.MaxDatagram} {
			d := cell.Datagram{Host: "example.org", Port: uint16(1 + size), Payload: pattern(size, size)}
			buf := bytes.Clone(d.Payload)
			sent := d
			sent.Payload = buf
			if err := from.PutDatagram(w.now, sent); err != nil {
				t.Fatal(err)
			}
			clear(buf)
			w.ok()
			got, ok := to.Datagram(w.now)
			if !ok || got.Host != d.Host || got.Port != d.Port || !bytes.Equal(got.Payload, d.Payload) {
				t.Fatalf("%d bytes: another datagram, or none", size)
			}
			if _, ok := to.Datagram(w.now); ok {
				t.Fatal("a datagram twice")
			}
		}
		if err := from.PutDatagram(w.now, cell.Datagram{Host: "h", Port: 1, Payload: make([]byte, cell.MaxDatagram+1)}); err == nil {
			t.Fatal("too large a datagram is taken")
		}
	}
	if _, err := c.Put([]byte("x")); !errors.Is(err, ErrState) {
		t.Fatalf("bytes on an association: %v", err)
	}
}

// Spec: protocol §5 (STR-6).
func TestOf65WaitingDatagramsTheOldestGoes(t *testing.T) {
	t.Run("to be sent", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		c, r := w.udp()
		sentAtOnce := 0
		for ; len(c.outq) == 0; sentAtOnce++ {
			if err := c.PutDatagram(w.now, dgram(sentAtOnce, 1500)); err != nil {
				t.Fatal(err)
			}
		}
		sentAtOnce--
		for n := sentAtOnce + 1; n < sentAtOnce+maxDatagrams+10; n++ {
			if err := c.PutDatagram(w.now, dgram(n, 1500)); err != nil {
				t.Fatal(err)
			}
			if len(c.outq) > maxDatagrams {
				t.Fatalf("%d wait", len(c.outq))
			}
		}
		if sentAtOnce != datagramCells || len(c.outq) != maxDatagrams {
			t.Fatalf("%d went at once, %d wait", sentAtOnce, len(c.outq))
		}
		w.ok() // the receiver keeps 64 of those too
		var got []int
		for d, ok := r.Datagram(w.now); ok; d, ok = r.Datagram(w.now) {
			got = append(got, number(d))
		}
		if len(got) != maxDatagrams || got[0] != sentAtOnce+10 || got[maxDatagrams-1] != sentAtOnce+maxDatagrams+9 {
			t.Fatalf("%d arrived, %v", len(got), got)
		}
	})
	t.Run("to be read", func(t *testing.T) {
		w := newPath(t, 1, DefaultParams())
		c, r := w.udp()
		for n := range maxDatagrams + 1 {
			if err := c.PutDatagram(w.now, dgram(n, 4)); err != nil {
				t.Fatal(err)
			}
			w.ok()
		}
		if d, ok := r.Datagram(w.now); !ok || number(d) != 1 || len(r.in) != maxDatagrams-1 {
			t.Fatalf("%v: number %d, %d more", ok, number(d), len(r.in))
		}
	})
}

func TestADatagramOlderThanTwoSecondsIsDropped(t *testing.T) {
	for _, late := range []time.Duration{0, 1} {
		w := newPath(t, 1, DefaultParams())
		c, r := w.udp()
		for n := 0; len(c.outq) == 0; n++ {
			if err := c.PutDatagram(w.now, dgram(n, 1500)); err != nil {
				t.Fatal(err)
			}
		}
		w.now = w.now.Add(datagramLife + late)
		w.ok()
		n := 0
		for _, ok := r.Datagram(w.now); ok; _, ok = r.Datagram(w.now) {
			n++
		}
		if want := datagramCells + 1 - int(late); n != want {
			t.Fatalf("%v late: %d arrived, not %d", late, n, want)
		}
		// And at the receiver.
		if err := c.PutDatagram(w.now, dgram(0, 4)); err != nil {
			t.Fatal(err)
		}
		w.ok()
		if _, ok := r.Datagram(w.now.Add(datagramLife + late)); ok != (late == 0) {
			t.Fatalf("%v late: read %v", late, ok)
		}
	}
}

func TestNoDatagramFollowsTheEnd(t *testing.T) {
	for name, end := range map[string]func(s *Stream) error{
		"half-close": (*Stream).CloseSend,
		"give up":    func(s *Stream) error { return s.Abandon(EndDone) },
	} {
		w := newPath(t, 1, DefaultParams())
		c, r := w.udp()
		for n := range maxDatagrams { // most of them wait
			if err := c.PutDatagram(w.now, dgram(n, 1500)); err != nil {
				t.Fatal(err)
			}
		}
		if err := end(c); err != nil {
			t.Fatal(err)
		}
		if err := c.PutDatagram(w.now, dgram(99, 4)); err == nil {
			t.Fatalf("%s: a datagram after the end", name)
		}
		w.ok() // a datagram behind END would end the circuit
		if !r.Ended() || len(w.o.datagrams) != 0 {
			t.Fatalf("%s: the other side did not hear of it", name)
		}
		if err := r.Abandon(EndDone); err != nil {
			t.Fatal(err)
		}
		w.gone(c, r)
		if _, ok := c.Datagram(w.now); ok {
			t.Fatal("a datagram after Abandon")
		}
	}
}

func TestDatagramsOnOtherStreamsAreRefused(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	c, _ := w.stream()
	if err := c.PutDatagram(w.now, dgram(1, 4)); !errors.Is(err, ErrState) {
		t.Fatal(err)
	}
}

// A flood of datagrams must not keep the circuit's other streams from sending.
func TestAFloodOfDatagramsLeavesRoomForStreams(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	_, r := w.stream()
	_, u := w.udp()
	_, v := w.udp()
	writable := false
	r.Notify = func(_, w bool) { writable = writable || w }
	var sent int
	data := make([]byte, 1<<20)
	n, err := r.Put(data)
	if err != nil {
		t.Fatal(err)
	}
	sent += n
	for turn := range 400 {
		for k := range 32 { // more than the link takes
			for _, s := range []*Stream{u, v} {
				if err := s.PutDatagram(w.now, dgram(turn*32+k, 1500)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.hopWrites(0)
		for len(w.down[0]) > 0 {
			if _, err := w.clientSideReads(0); err != nil {
				t.Fatal(err)
			}
		}
		if w.clientWrites() {
			if _, err := w.hopReads(0); err != nil {
				t.Fatal(err)
			}
		}
		if writable {
			writable = false
			n, err := r.Put(data)
			if err != nil {
				t.Fatal(err)
			}
			sent += n
			take(t, w.o.table[1])
		}
		bounded(t, &w.hops[0].End)
	}
	if sent < 400*cell.MaxBody {
		t.Fatalf("%d bytes of a stream in 400 turns", sent)
	}
}

func TestAssociationsTakeTurns(t *testing.T) {
	w := newPath(t, 1, DefaultParams())
	var cs, rs []*Stream
	for range 20 {
		c, r := w.udp()
		cs, rs = append(cs, c), append(rs, r)
	}
	got := make([]int, len(rs))
	for range 100 {
		for _, c := range cs {
			for range 4 {
				if err := c.PutDatagram(w.now, dgram(0, 1500)); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.clientWrites()
		for len(w.up[0]) > 0 {
			if _, err := w.hopReads(0); err != nil {
				t.Fatal(err)
			}
		}
		if w.hopWrites(0) {
			for len(w.down[0]) > 0 {
				if _, err := w.clientSideReads(0); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, r := range rs {
			for _, ok := r.Datagram(w.now); ok; _, ok = r.Datagram(w.now) {
				got[i]++
			}
		}
	}
	low, high := got[0], got[0]
	for _, n := range got {
		low, high = min(low, n), max(high, n)
	}
	if low == 0 || high > low+maxDatagrams/8 {
		t.Fatalf("shares differ: %v", got)
	}
}
