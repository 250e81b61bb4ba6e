// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"sync"
	"time"
)

// The carrier is reliable and in order, so old datagrams are worse than none.
//
// Spec: product §4.3 (UDP-3).
const (
	queueLength = 64
	queueAge    = 2 * time.Second
)

// datagram is one payload on its way to t.
type datagram struct {
	t       Target
	payload []byte
	at      time.Time
}

// queue holds datagrams for one association. Beyond 64, or 2 s of age, the
// oldest goes. One goroutine takes, any may put.
type queue struct {
	mu     sync.Mutex
	more   sync.Cond // on mu
	ring   [queueLength]datagram
	first  int
	length int
	closed bool
}

func newQueue() *queue {
	q := new(queue)
	q.more.L = &q.mu
	return q
}

// put appends d and returns how many datagrams went for it.
func (q *queue) put(d datagram) (dropped int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 1
	}
	dropped = q.expireLocked(d.at)
	if q.length == queueLength {
		q.popLocked()
		dropped++
	}
	q.ring[(q.first+q.length)%queueLength] = d
	q.length++
	q.more.Signal()
	return dropped
}

// take waits for a datagram that is not too old; false when the queue is closed.
func (q *queue) take() (d datagram, dropped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for {
		if q.closed {
			return datagram{}, dropped, false
		}
		dropped += q.expireLocked(time.Now())
		if q.length > 0 {
			return q.popLocked(), dropped, true
		}
		q.more.Wait()
	}
}

func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	clear(q.ring[:])
	q.more.Broadcast()
}

func (q *queue) expireLocked(now time.Time) (dropped int) {
	for q.length > 0 && now.Sub(q.ring[q.first].at) > queueAge {
		q.popLocked()
		dropped++
	}
	return dropped
}

func (q *queue) popLocked() datagram {
	d := q.ring[q.first]
	q.ring[q.first] = datagram{}
	q.first = (q.first + 1) % queueLength
	q.length--
	return d
}
