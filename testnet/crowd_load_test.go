// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chive/client"
)

// experiment is a crowd at work.
type experiment struct {
	crowd
	t          *testing.T
	cl         *Client
	behindSlow func(client.CircuitStatus) bool
	tasks      sync.WaitGroup
}

// mover is one stream that moves data.
type mover struct {
	conn  *client.Conn
	key   string
	moved atomic.Int64 // bytes that the program at the far end of the flow got
	pace  int          // bytes a second; 0: as fast as it can, negative: none
}

func (e *experiment) dial(key string, port uint16) *client.Conn {
	conn, err := e.cl.Dial(e.t.Context(), client.Isolation(key), "127.0.0.1", port, nil)
	if err != nil {
		e.t.Fatal(err)
	}
	return conn
}

func (e *experiment) measure() *crowded {
	defer e.tasks.Wait()
	out := &crowded{}
	typist := e.awayFrom("typist", echoPort)
	defer typist.Close()
	out.idle = e.types(typist, e.ticks)

	movers := e.movers() // those of one circuit beside each other
	for _, b := range movers {
		defer b.conn.Close()
	}
	own := e.dial(movers[0].key, echoPort)
	defer own.Close()
	for _, b := range movers {
		e.start(b)
	}
	<-time.After(time.Duration(e.ticks) * crowdTick)

	before := make([]int64, len(movers))
	for i, b := range movers {
		before[i] = b.moved.Load()
	}
	began := time.Now()
	var beside sync.WaitGroup
	beside.Go(func() { out.own = e.types(own, min(10, e.ticks/4)) })
	out.loaded = e.types(typist, e.ticks)
	took := time.Since(began).Seconds()
	rates := make([]float64, e.bulk) // of circuits
	for i, b := range movers {
		rates[i*e.bulk/len(movers)] += float64(b.moved.Load()-before[i]) / took
	}
	for i, rate := range rates {
		out.total += rate
		switch {
		case e.crowd.behind > 0 && i == 0:
			out.behind = rate
		case e.paceOf(i) == 0:
			out.each = append(out.each, rate)
		}
	}
	beside.Wait()
	return out
}

// awayFrom opens a stream on a circuit that does not pass the slow relay, if there
// is one.
func (e *experiment) awayFrom(key string, port uint16) *client.Conn {
	for i := range maxDraws {
		before := e.atSlow()
		conn := e.dial(fmt.Sprint(key, i), port)
		if e.atSlow() == before {
			return conn
		}
		_ = conn.Close()
	}
	e.t.Fatal("every circuit passes the slow relay")
	return nil
}

// atSlow counts the circuits with streams that pass the slow relay.
func (e *experiment) atSlow() (n int) {
	if e.crowd.behind == 0 {
		return 0
	}
	<-time.After(time.Second) // streams that were closed are gone
	for _, s := range e.cl.Circuits() {
		if e.behindSlow(s) {
			n++
		}
	}
	return n
}

// movers opens the bulk circuits, each with a key of its own, and fits their paths.
func (e *experiment) movers() []*mover {
	port := uint16(sourcePort)
	if e.up {
		port = sinkPort
	}
	var out []*mover
	circuits := 0
	for i := 0; circuits < e.bulk; i++ {
		if i > e.bulk+maxDraws {
			e.t.Fatal("the paths never fitted")
		}
		before := e.atSlow()
		b := &mover{key: fmt.Sprint("bulk", i)}
		b.conn = e.dial(b.key, port)
		if wanted := e.crowd.behind > 0 && circuits == 0; (e.atSlow() > before) != wanted {
			_ = b.conn.Close()
			continue
		}
		circuits++
		b.pace = e.paceOf(circuits - 1)
		out = append(out, b)
		for range e.streams - 1 {
			out = append(out, &mover{key: b.key, pace: b.pace, conn: e.dial(b.key, port)})
		}
	}
	return out
}

// paceOf is how fast the programs of bulk circuit i read.
func (e *experiment) paceOf(i int) int {
	switch {
	case i >= e.bulk-e.still:
		return -1
	case i >= e.bulk-e.still-e.slow:
		return slowReading
	}
	return 0
}

// start lets a mover move until its stream is closed.
func (e *experiment) start(b *mover) {
	switch {
	case b.pace < 0:
	case e.up:
		e.tasks.Go(func() { pour(b.conn) })
		e.tasks.Go(func() {
			var total [8]byte
			for {
				if _, err := io.ReadFull(b.conn, total[:]); err != nil {
					return
				}
				b.moved.Store(int64(binary.BigEndian.Uint64(total[:])))
			}
		})
	default:
		e.tasks.Go(func() {
			buf := make([]byte, 16<<10)
			for {
				n, err := b.conn.Read(buf)
				b.moved.Add(int64(n))
				if err != nil {
					return
				}
				if b.pace > 0 {
					<-time.After(time.Duration(n) * time.Second / time.Duration(b.pace))
				}
			}
		})
	}
}

// types sends a few bytes to the echo, one each tick or as soon as the last ones
// are back, and returns how long they took.
func (e *experiment) types(conn *client.Conn, count int) trips {
	var out trips
	var buf [64]byte
	for next := time.Now(); len(out) < count; {
		began := time.Now()
		_, err := conn.Write(buf[:])
		if err == nil {
			_, err = io.ReadFull(conn, buf[:])
		}
		if err != nil {
			e.t.Error(err)
			return trips{0}
		}
		out = append(out, time.Since(began))
		if next = next.Add(crowdTick); time.Now().Before(next) {
			<-time.After(time.Until(next))
		} else {
			next = time.Now()
		}
	}
	slices.Sort(out)
	return out
}
