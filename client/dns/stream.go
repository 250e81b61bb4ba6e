// SPDX-License-Identifier: BSD-3-Clause

package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// serveStreams accepts connections.
func (s *Server) serveStreams(ctx context.Context, l net.Listener, tasks *sync.WaitGroup) error {
	places := make(chan struct{}, s.limits.Connections)
	pause := time.Duration(0)
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		conn, err := l.Accept()
		if err != nil {
			<-places
			if ctx.Err() != nil {
				return nil
			}
			if errors.Is(err, net.ErrClosed) {
				return ErrClosed
			}
			pause = min(max(2*pause, acceptPauseMin), acceptPauseMax)
			if !waitFor(ctx, pause) {
				return nil
			}
			continue
		}
		pause = 0
		tasks.Go(func() {
			defer func() { <-places }()
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			defer s.recovered()
			s.stream(ctx, conn)
		})
	}
}

// stream answers the queries of one connection, one after the other, until the
// program ends it, sends what is no query, or takes too long.
//
//	size 2 | message
func (s *Server) stream(ctx context.Context, conn net.Conn) {
	client := addrOf(conn.RemoteAddr()).Addr()
	buf := make([]byte, maxQuery)
	for {
		conn.SetReadDeadline(time.Now().Add(s.limits.Idle))
		if _, err := io.ReadFull(conn, buf[:2]); err != nil {
			return
		}
		size := int(binary.BigEndian.Uint16(buf))
		if size > maxQuery {
			s.count.malformed.Add(1)
			return
		}
		if _, err := io.ReadFull(conn, buf[:size]); err != nil {
			s.count.malformed.Add(1)
			return
		}
		q, ok := parseQuery(buf[:size])
		if !ok {
			s.count.malformed.Add(1)
			return
		}
		code, records, t, done := s.local(client, &q)
		if !done {
			code, records = s.inPlace(func() (dnsmessage.RCode, []record) { return s.lookUp(ctx, client, t) })
		}
		s.note(code)
		b := appendReply(make([]byte, 2, 2+minPayload), &q, code, records, maxTCP)
		binary.BigEndian.PutUint16(b, uint16(len(b)-2))
		conn.SetWriteDeadline(time.Now().Add(s.limits.Idle))
		if _, err := conn.Write(b); err != nil {
			return
		}
	}
}

// inPlace runs a look-up of a connection in one of the places for look-ups.
func (s *Server) inPlace(f func() (dnsmessage.RCode, []record)) (dnsmessage.RCode, []record) {
	select {
	case s.lookups <- struct{}{}:
	default:
		s.count.busy.Add(1)
		return dnsmessage.RCodeServerFailure, nil
	}
	defer func() { <-s.lookups }()
	return f()
}
