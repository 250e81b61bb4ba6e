// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

// Limits of sessions. Spec: security B31.
const (
	// SessionCount is how many there are at once; further ones are refused.
	SessionCount = 32
	// IdleTime is after which time without a request a session ends.
	IdleTime = time.Hour
	// WrongCount is how many wrong tokens and secrets a minute are answered as such.
	WrongCount = 20
)

// sessions are the sessions of one page.
type sessions struct {
	mu      sync.Mutex
	live    map[[sha256.Size]byte]*session
	wrong   int       // since began
	counted time.Time // when the minute of wrong began
}

// session is one browser's tab. Its fields are under the lock of sessions.
type session struct {
	ctx    context.Context // ends with the session
	end    context.CancelFunc
	used   time.Time
	inside int // requests that are being answered
}

// begin makes a session and returns its secret; false: there are too many.
func (s *sessions) begin(ctx context.Context) (secret string, ok bool) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	if len(s.live) >= SessionCount {
		return "", false
	}
	if s.live == nil {
		s.live = make(map[[sha256.Size]byte]*session)
	}
	ctx, end := context.WithCancel(ctx)
	secret = newSecret()
	s.live[sha256.Sum256([]byte(secret))] = &session{ctx: ctx, end: end, used: now}
	return secret, true
}

// enter finds the session of a secret, for one request; leave ends that request. nil:
// there is none.
func (s *sessions) enter(secret string) *session {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expire(now)
	found := s.live[sha256.Sum256([]byte(secret))]
	if found != nil {
		found.inside++
		found.used = now
	}
	return found
}

func (s *sessions) leave(of *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	of.inside--
	of.used = time.Now()
}

// close ends the session of a secret, and the requests in it.
func (s *sessions) close(secret string) {
	digest := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	if found := s.live[digest]; found != nil {
		found.end()
		delete(s.live, digest)
	}
}

// expire is called with the lock held.
func (s *sessions) expire(now time.Time) {
	for digest, one := range s.live {
		if one.inside == 0 && now.Sub(one.used) >= IdleTime {
			one.end()
			delete(s.live, digest)
		}
	}
}

// tooWrong counts a wrong token or secret, and reports whether there were too many.
func (s *sessions) tooWrong() bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.counted) >= time.Minute {
		s.counted, s.wrong = now, 0
	}
	s.wrong = min(s.wrong+1, WrongCount+1)
	return s.wrong > WrongCount
}
