// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"bytes"
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"chive/circuit/cell"
	"chive/internal/memnet"
	"chive/internal/testutil"
)

// hostile runs f against a link whose peer is raw.
func hostile(t *testing.T, relay bool, f func(t *testing.T, r *raw, l *Link)) {
	t.Helper()
	testutil.Bubble(t, func(t *testing.T) {
		var id *Identity
		if relay {
			id = testIdentity(t, 1)
		}
		r, l := rawDial(t, memnet.New(memnet.Config{}), id)
		f(t, r, l)
	})
}

// ended waits for everything to settle and returns why the link ended, if it did.
func ended(l *Link) error {
	synctest.Wait()
	return l.Err()
}

// Spec: protocol §1 (LINK-10)
func TestBrokenFramesEndTheLink(t *testing.T) {
	open := makeFrame(frameWindow, flagSYN, 1, 0)
	typed := dataFrame(0, 1, []byte{byte(StreamCircuit)})
	for _, c := range []struct {
		name   string
		frames [][]byte
		want   error
	}{
		{"version", [][]byte{append([]byte{1}, makeFrame(0, 0, 1, 0)[1:]...)}, ErrProtocol},
		{"kind", [][]byte{makeFrame(4, 0, 1, 0)}, ErrProtocol},
		{"unknown flag", [][]byte{makeFrame(frameWindow, 16, 1, 0)}, ErrProtocol},
		{"data longer than a frame may be", [][]byte{open, makeFrame(frameData, 0, 1, maxFrameData+1)}, ErrProtocol},
		{"data of 4 GiB", [][]byte{open, makeFrame(frameData, 0, 1, 1<<32-1)}, ErrProtocol},
		{"window beyond the window", [][]byte{open, makeFrame(frameWindow, 0, 1, streamWindow+1)}, ErrProtocol},
		{"number of ours", [][]byte{makeFrame(frameWindow, flagSYN, 2, 0)}, ErrProtocol},
		{"number zero", [][]byte{makeFrame(frameWindow, flagSYN, 0, 0)}, ErrProtocol},
		{"opened twice", [][]byte{open, open}, ErrProtocol},
		{"accepts what it opened", [][]byte{open, makeFrame(frameWindow, flagACK, 1, 0)}, ErrProtocol},
		{"ends twice", [][]byte{open, typed, makeFrame(frameWindow, flagFIN, 1, 0), makeFrame(frameWindow, flagFIN, 1, 0)}, ErrProtocol},
		{"data after its end", [][]byte{open, typed, makeFrame(frameWindow, flagFIN, 1, 0), typed}, ErrProtocol},
		{"goes away", [][]byte{makeFrame(frameGoAway, 0, 0, 0)}, ErrPeerClosed},
		{"data at the largest size", [][]byte{open, dataFrame(0, 1, append([]byte{1}, make([]byte, maxFrameData-1)...))}, nil},
		{"window at the largest size", [][]byte{open, makeFrame(frameWindow, 0, 1, streamWindow)}, nil},
		{"frames of streams that are over", [][]byte{typed, makeFrame(frameWindow, flagFIN, 1, 0), makeFrame(frameWindow, flagRST, 7, 0)}, nil},
		{"ping", [][]byte{makeFrame(framePing, flagSYN, 0, 7)}, nil},
		{"data with every flag", [][]byte{dataFrame(flagSYN|flagFIN, 1, []byte{1, 2, 3})}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			hostile(t, false, func(t *testing.T, r *raw, l *Link) {
				r.send(c.frames...)
				if err := ended(l); err != c.want {
					t.Errorf("%v, want %v", err, c.want)
				}
			})
		})
	}
}

// Spec: protocol §1 (LINK-10)
func TestMoreThanTheWindowEndsTheLink(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		r.send(makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, []byte{1}))
		for n := 1; n < streamWindow; n += 8192 {
			r.send(dataFrame(0, 1, make([]byte, min(8192, streamWindow-n))))
		}
		if err := ended(l); err != nil {
			t.Fatal("a full window ended the link:", err)
		}
		r.send(dataFrame(0, 1, []byte{1}))
		if ended(l) == nil {
			t.Error("one byte beyond the window is taken")
		}
	})
}

// Spec: protocol §1 (LINK-9)
func TestUnknownTypesAreReset(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		accepted := make(chan *Stream, 1)
		go func() {
			if s, _, err := l.Accept(); err == nil {
				accepted <- s
			}
		}()
		for i, first := range []byte{0, 5, 255} {
			r.send(makeFrame(frameWindow, flagSYN, uint32(2*i+1), 0), dataFrame(0, uint32(2*i+1), []byte{first, 1, 2}))
		}
		r.send(makeFrame(frameWindow, flagSYN, 99, 0), makeFrame(frameWindow, flagFIN, 99, 0)) // ends without a type
		r.send(makeFrame(frameWindow, flagSYN, 101, 0), dataFrame(0, 101, []byte{3, 'x'}))
		got := make(map[uint32]bool)
		for len(got) < 4 {
			f, _, err := r.next()
			if err != nil {
				t.Fatal(err)
			}
			if f.flags&flagRST != 0 {
				got[f.stream] = true
			}
		}
		if !got[1] || !got[3] || !got[5] || !got[99] {
			t.Error("reset:", got)
		}
		s := <-accepted
		if s.id != 101 || s.Type() != StreamDirectory {
			t.Error("accepted", s.id, s.Type())
		}
		b := make([]byte, 1)
		if _, err := s.Read(b); err != nil || b[0] != 'x' {
			t.Error("the type is not taken off:", b, err)
		}
		if open, _ := l.Streams(); open != 1 || l.waiting != 0 || l.incoming != 1 {
			t.Error("left over:", open, l.waiting, l.incoming)
		}
		if err := ended(l); err != nil {
			t.Error(err)
		}
	})
}

// acceptAll accepts streams and keeps them.
func acceptAll(l *Link) *[]*Stream {
	kept := new([]*Stream)
	go func() {
		for {
			s, _, err := l.Accept()
			if err != nil {
				return
			}
			*kept = append(*kept, s)
		}
	}()
	return kept
}

// openRaw opens streams from number first on, n of them.
func openRaw(r *raw, first, n int) {
	for i := range n {
		id := uint32(2*(first+i) + 1)
		r.send(makeFrame(frameWindow, flagSYN, id, 0), dataFrame(0, id, []byte{1}))
		if i%64 == 0 {
			synctest.Wait()
		}
	}
	synctest.Wait()
}

// Spec: protocol §1 (LINK-9)
func TestStreamsOfAPeerAreBounded(t *testing.T) {
	for _, c := range []struct {
		name  string
		relay bool
		limit int
	}{{"client", false, MaxClientStreams}, {"relay", true, MaxRelayStreams}} {
		t.Run(c.name, func(t *testing.T) {
			hostile(t, c.relay, func(t *testing.T, r *raw, l *Link) {
				resets := 0
				go func() {
					for {
						f, _, err := r.next()
						if err != nil {
							return
						}
						if f.flags&flagRST != 0 {
							resets++
						}
					}
				}()
				kept := acceptAll(l)
				openRaw(r, 0, c.limit-1)
				if len(*kept) != c.limit-1 || resets != 0 {
					t.Fatal("below the cap:", len(*kept), resets)
				}
				openRaw(r, c.limit, 1)
				if len(*kept) != c.limit || resets != 0 {
					t.Fatal("at the cap:", len(*kept), resets)
				}
				openRaw(r, c.limit+1, 5)
				if len(*kept) != c.limit || resets != 5 {
					t.Fatal("beyond the cap:", len(*kept), resets)
				}
				// A stream that ends on both sides makes room.
				r.send(makeFrame(frameWindow, flagFIN, 1, 0))
				(*kept)[0].Close()
				synctest.Wait()
				openRaw(r, c.limit+10, 1)
				if len(*kept) != c.limit+1 || resets != 5 {
					t.Error("after one ended:", len(*kept), resets)
				}
				if err := l.Err(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func TestStreamsNobodyAcceptsAreBounded(t *testing.T) {
	for _, typed := range []bool{true, false} {
		hostile(t, true, func(t *testing.T, r *raw, l *Link) {
			for i := range MaxWaitingStreams + 3 {
				id := uint32(2*i + 1)
				r.send(makeFrame(frameWindow, flagSYN, id, 0))
				if typed {
					r.send(dataFrame(0, id, []byte{1}))
				}
			}
			for want := range 3 {
				f, _, err := r.next()
				if err != nil {
					t.Fatal(err)
				}
				if f.flags != flagRST || f.stream != uint32(2*(MaxWaitingStreams+want)+1) {
					t.Error("got", f)
				}
			}
			if err := ended(l); err != nil {
				t.Error(err)
			}
			kept := acceptAll(l)
			synctest.Wait()
			if want := map[bool]int{true: MaxWaitingStreams}[typed]; len(*kept) != want {
				t.Error("accepted", len(*kept))
			}
		})
	}
}

// Spec: protocol §1 (LINK-9)
func TestAThousandResetsAMinuteEndTheLink(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		go io.Copy(io.Discard, r.conn)
		id := uint32(1)
		refuse := func(n int) {
			for range n {
				r.send(makeFrame(frameWindow, flagSYN, id, 0), dataFrame(0, id, []byte{200}))
				id += 2
			}
			synctest.Wait()
		}
		acceptAll(l)
		refuse(MaxResetsPerMinute)
		if err := l.Err(); err != nil {
			t.Fatal("at the cap:", err)
		}
		for range 2 {
			wait := time.NewTimer(30 * time.Second)
			<-wait.C
			r.send(makeFrame(framePing, 0, 0, 0)) // or the link is silent
		}
		refuse(MaxResetsPerMinute)
		if err := l.Err(); err != nil {
			t.Fatal("a minute later:", err)
		}
		refuse(1)
		if err := l.Err(); err != ErrFlood {
			t.Error("beyond the cap:", err)
		}
	})
}

// Spec: protocol §1 (LINK-10)
func TestControlFramesAreBounded(t *testing.T) {
	batch := func(kind byte, n int) []byte {
		return bytes.Repeat(makeFrame(kind, 0, 1, 0), n)
	}
	for _, kind := range []byte{framePing, frameWindow, frameData} {
		hostile(t, false, func(t *testing.T, r *raw, l *Link) {
			for range 20 {
				r.send(batch(kind, ControlFrameBurst/20))
			}
			if err := ended(l); err != nil {
				t.Fatal("at the burst:", err)
			}
			wait := time.NewTimer(10 * time.Second)
			<-wait.C
			r.send(batch(kind, 10*ControlFramesPerSecond))
			if err := ended(l); err != nil {
				t.Fatal("at the rate:", err)
			}
			r.send(batch(kind, 1))
			if err := ended(l); err != ErrFlood {
				t.Errorf("kind %d beyond the bound: %v", kind, err)
			}
		})
	}
}

func TestDataPaysForControlFrames(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		go func() {
			s, _, err := l.Accept()
			if err == nil {
				io.Copy(io.Discard, s)
			}
		}()
		go io.Copy(io.Discard, r.conn)
		r.send(makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, []byte{3}))
		r.send(bytes.Repeat(makeFrame(framePing, 0, 0, 0), ControlFrameBurst-2))
		const earned = 100
		for range earned / 2 {
			r.send(dataFrame(0, 1, make([]byte, 2*ControlFrameBytes)))
			synctest.Wait()
		}
		r.send(bytes.Repeat(makeFrame(framePing, 0, 0, 0), earned))
		if err := ended(l); err != nil {
			t.Fatal(err)
		}
		r.send(bytes.Repeat(makeFrame(framePing, 0, 0, 0), 4))
		if err := ended(l); err != ErrFlood {
			t.Error(err)
		}
	})
}

func TestPingsAreNotAnswered(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		r.send(bytes.Repeat(makeFrame(framePing, flagSYN, 0, 1), 1000))
		r.conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if f, _, err := r.next(); err == nil {
			t.Error("answered with", f)
		}
		if err := l.Err(); err != nil {
			t.Error(err)
		}
	})
}

func TestAnEndIsAnEndEvenIfTheLinkIsLostAfterIt(t *testing.T) {
	for _, fin := range []bool{true, false} {
		hostile(t, false, func(t *testing.T, r *raw, l *Link) {
			r.send(makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, []byte("\x03all")))
			if fin {
				r.send(makeFrame(frameWindow, flagFIN, 1, 0))
			}
			s, _, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			r.conn.Close()
			<-l.Done()
			got, err := io.ReadAll(s)
			if want := map[bool]error{true: nil, false: ErrPeerClosed}[fin]; string(got) != "all" || err != want {
				t.Error(fin, string(got), err)
			}
		})
	}
}

// Spec: protocol §1 (LINK-7)
func TestBadRecordEndsTheLinkAtOnce(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		bad := make([]byte, RecordSize)
		r.conn.Write(bad)
		if err := ended(l); err != ErrRecord {
			t.Error(err)
		}
		if _, err := l.Open(StreamCircuit); err != ErrRecord {
			t.Error("sticky:", err)
		}
		if _, err := r.conn.Read(bad); err != io.EOF {
			t.Error("something was said:", err)
		}
	})
}

func TestDataForAClosedStreamIsDropped(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		r.send(makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, []byte{1}))
		s, _, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		synctest.Wait()
		for range 2 * streamWindow / 8192 { // more than its window
			r.send(dataFrame(0, 1, make([]byte, 8192)))
		}
		if err := ended(l); err != nil {
			t.Fatal(err)
		}
		if s.Buffered() > 1 {
			t.Error("held:", s.Buffered())
		}
		r.send(dataFrame(flagFIN, 1, []byte("last"))) // its end counts all the same
		synctest.Wait()
		if open, _ := l.Streams(); open != 0 || l.Err() != nil {
			t.Error("left over", open, l.Err())
		}
	})
}

func TestAStreamThePeerDoesNotCloseIsReset(t *testing.T) {
	hostile(t, false, func(t *testing.T, r *raw, l *Link) {
		got := make(chan frame, 8)
		go func() {
			for {
				f, _, err := r.next()
				if err != nil {
					return
				}
				if f.flags&(flagRST|flagFIN) != 0 {
					got <- f
				}
			}
		}()
		r.send(makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, []byte{1}))
		s, _, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		s.Close()
		if f := <-got; f.flags != flagFIN || f.stream != 1 {
			t.Error("first", f)
		}
		stop := time.AfterFunc(20*time.Second, func() { r.send(makeFrame(framePing, 0, 0, 0)) })
		defer stop.Stop()
		if f := <-got; f.flags != flagRST || f.stream != 1 {
			t.Error("then", f)
		}
		if d := time.Since(start); d < lingerTime || d > 2*lingerTime {
			t.Error("after", d)
		}
		synctest.Wait()
		if open, _ := l.Streams(); open != 0 {
			t.Error("left over")
		}
	})
}

func TestPeerThatNeverAcceptsMakesOpenFail(t *testing.T) {
	hostile(t, true, func(t *testing.T, r *raw, l *Link) {
		go io.Copy(io.Discard, r.conn)
		var all []*Stream
		for range MaxWaitingStreams {
			s, err := l.Open(StreamCircuit)
			if err != nil {
				t.Fatal(len(all), err)
			}
			all = append(all, s)
		}
		if _, err := l.Open(StreamCircuit); err != ErrBusy {
			t.Fatal(err)
		}
		// Reset by the peer, or closed by us and lingering, they make room.
		r.send(makeFrame(frameWindow, flagRST, all[0].id, 0))
		synctest.Wait()
		if _, err := all[0].Write([]byte("x")); err != ErrStreamReset {
			t.Error(err)
		}
		if _, err := l.Open(StreamCircuit); err != nil {
			t.Error(err)
		}
		for _, s := range all[1:] {
			s.Close()
		}
		for range 5 {
			wait := time.NewTimer(15 * time.Second)
			<-wait.C
			r.send(makeFrame(framePing, 0, 0, 0))
		}
		for range MaxWaitingStreams - 1 {
			if _, err := l.Open(StreamCircuit); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Err(); err != nil {
			t.Error(err)
		}
	})
}

// FuzzSession feeds a whole session of multiplexer bytes to a link: nothing
// panics, no more streams exist than the caps allow, and a link that lives still
// carries an honest stream.
func FuzzSession(f *testing.F) {
	f.Add(bytes.Join([][]byte{makeFrame(frameWindow, flagSYN, 1, 0), dataFrame(0, 1, append([]byte{1}, make([]byte, cell.Size)...)),
		makeFrame(frameWindow, flagFIN, 1, 0)}, nil), uint16(1000))
	f.Add(bytes.Join([][]byte{makeFrame(frameWindow, flagSYN, 3, 0), dataFrame(flagFIN, 3, []byte{9}), makeFrame(framePing, 1, 0, 0)}, nil), uint16(5))
	f.Add(bytes.Join([][]byte{dataFrame(flagSYN|flagFIN, 5, []byte{3, 1, 2}), makeFrame(frameWindow, flagRST, 5, 0), makeFrame(frameGoAway, 0, 0, 1)}, nil), uint16(40))
	f.Add(bytes.Join([][]byte{makeFrame(frameWindow, flagSYN|flagRST, 7, 0), makeFrame(frameWindow, flagSYN, 7, 0), dataFrame(0, 7, []byte{4})}, nil), uint16(12))
	f.Fuzz(func(t *testing.T, b []byte, split uint16) {
		if len(b) > 1<<16 {
			return
		}
		r, l := rawKeys(t)
		go io.Copy(io.Discard, r.conn)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				s, typ, err := l.Accept()
				if err != nil {
					return
				}
				if !typ.known() {
					t.Error("unknown type accepted")
				}
				go func() {
					io.Copy(io.Discard, io.LimitReader(s, 1<<20))
					s.Close()
				}()
			}
		}()
		size := int(split)%RecordData + 1
		for len(b) > 0 && r.send(b[:min(size, len(b))]) {
			b = b[min(size, len(b)):]
		}
		r.conn.(*memnet.Conn).CloseWrite()
		<-l.Done()
		<-done
		if open, _ := l.Streams(); open > MaxClientStreams+MaxOpenStreams {
			t.Error("streams", open)
		}
	})
}

func TestContextOfNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Dial(ctx, memnet.New(memnet.Config{}).Host(hostAddr(1)), hostPort(2), clientConfig()); err != context.Canceled {
		t.Error(err)
	}
}
