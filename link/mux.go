// SPDX-License-Identifier: BSD-3-Clause

package link

import (
	"errors"
	"io"
	"time"

	"github.com/hashicorp/yamux"
)

// multiplexer makes streams of one connection. Both methods block only while
// the connection does, and fail once it is gone.
type multiplexer interface {
	open() (muxStream, error)
	accept() (muxStream, error)
}

// muxStream is a stream of a multiplexer. One goroutine may read while one
// writes. Close ends the sending half only.
type muxStream interface {
	io.ReadWriteCloser
	StreamID() uint32
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	Shrink()
}

// yamuxSession is the multiplexer in use.
type yamuxSession struct{ session *yamux.Session }

func (y yamuxSession) open() (muxStream, error) {
	s, err := y.session.OpenStream()
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (y yamuxSession) accept() (muxStream, error) {
	s, err := y.session.AcceptStream()
	if err != nil {
		return nil, err
	}
	return s, nil
}

// newYamux starts the multiplexer over w: two goroutines, which end when w.Read
// and w.Write fail.
func newYamux(w *wire, initiator bool) (yamuxSession, error) {
	cfg := &yamux.Config{
		AcceptBacklog: MaxWaitingStreams,
		// Liveness is the link's own. The interval must not be zero.
		EnableKeepAlive:        false,
		KeepAliveInterval:      time.Hour,
		ConnectionWriteTimeout: muxWriteTimeout,
		MaxStreamWindowSize:    streamWindow,
		// Both cost a goroutine or a timer for each stream, and the second takes
		// a lock that a waiting writer holds. The link knows which streams the
		// peer has not accepted and which it has not closed, and resets them
		// itself: see Link.tick.
		StreamOpenTimeout:  0,
		StreamCloseTimeout: 0,
		Logger:             silent{},
	}
	make := yamux.Server
	if initiator {
		make = yamux.Client
	}
	session, err := make(w, cfg)
	return yamuxSession{session}, err
}

// silent is a logger that says nothing; yamux prints what a peer can trigger.
type silent struct{}

func (silent) Print(...any)          {}
func (silent) Printf(string, ...any) {}
func (silent) Println(...any)        {}

// isWindow reports whether a write ended because its deadline passed while it
// waited for the stream's window.
func isWindow(err error) bool { return errors.Is(err, yamux.ErrTimeout) }

// isReset reports whether the peer reset the stream.
func isReset(err error) bool { return errors.Is(err, yamux.ErrConnectionReset) }

// isStalled reports whether a frame may have been lost for lack of progress.
func isStalled(err error) bool { return errors.Is(err, yamux.ErrConnectionWriteTimeout) }
