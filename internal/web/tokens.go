// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"sync"
	"time"
)

// Limits of tokens.
const (
	// TokenTime is how long a token is good. Spec: PAGE-2.
	TokenTime = time.Minute
	// TokenCount is how many are good at once; a further one ends the oldest.
	TokenCount = 16
)

// secretSize is that of a token or a session's secret, in bytes. Spec: PAGE-2.
const secretSize = 32

// Tokens are the keys to sessions that were handed out and not yet used. The zero value
// is ready.
type Tokens struct {
	mu   sync.Mutex
	live []minted // the oldest first
}

// minted is a token by its digest: to look one up takes no secret's comparison.
type minted struct {
	digest [sha256.Size]byte
	until  time.Time
}

// Mint makes a token that is good once and for TokenTime. Whoever may see it may use
// the page.
func (t *Tokens) Mint() string {
	token := newSecret()
	now := time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(now)
	if len(t.live) >= TokenCount {
		t.live = t.live[1:]
	}
	t.live = append(t.live, minted{sha256.Sum256([]byte(token)), now.Add(TokenTime)})
	return token
}

// take reports whether a token is good, and ends it if so.
func (t *Tokens) take(token string) bool {
	digest := sha256.Sum256([]byte(token))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	for i := range t.live {
		if t.live[i].digest == digest {
			t.live = append(t.live[:i:i], t.live[i+1:]...)
			return true
		}
	}
	return false
}

// expire is called with the lock held.
func (t *Tokens) expire(now time.Time) {
	for len(t.live) > 0 && !now.Before(t.live[0].until) {
		t.live = t.live[1:]
	}
}

// Address is where a browser opens the page of a listener, with a token in the
// fragment.
func Address(l net.Addr, token string) string {
	return "http://" + l.String() + "/#token=" + token
}

func newSecret() string {
	secret := make([]byte, secretSize)
	_, _ = rand.Read(secret) // never fails
	return base64.RawURLEncoding.EncodeToString(secret)
}
