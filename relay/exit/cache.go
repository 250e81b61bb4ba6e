// SPDX-License-Identifier: BSD-3-Clause

package exit

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// What an answer is worth, whatever the name server says: a time of its own
// would mark who asked. The same time is told to clients, never what is left of
// it, which would tell when somebody else asked. Spec: product DNS-4.
const (
	AddrTTL = 300 * time.Second   // addresses of a name, and that there are none
	NameTTL = 3_600 * time.Second // names of an address
)

// maxCachedNames bounds the cache; beyond, the oldest entry goes.
// Spec: security B17.
const maxCachedNames = 8_192

// Bounds of one entry. Eight answers are what RESOLVED carries.
const (
	maxPerFamily = 4 // addresses of one IP version
	maxNames     = 4 // names of one address
)

// answer is what the resolver said; nothing in it: the name does not exist.
type answer struct {
	addrs []netip.Addr
	names []string
}

// question is a name, or an address whose names are asked for.
type question struct {
	name string
	addr netip.Addr
}

type cachedAnswer struct {
	question
	answer
	expires time.Time
}

// nameCache keeps answers, the negative ones too. The zero value is empty.
type nameCache struct {
	mu    sync.Mutex
	byKey map[question]*list.Element
	byAge list.List // of *cachedAnswer, the oldest first
}

func (c *nameCache) get(q question, now time.Time) (answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[q]
	if e == nil {
		return answer{}, false
	}
	cached := e.Value.(*cachedAnswer)
	if !now.Before(cached.expires) {
		c.dropLocked(e)
		return answer{}, false
	}
	return cached.answer, true
}

func (c *nameCache) put(q question, a answer, now time.Time, ttl time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[q]; e != nil {
		c.dropLocked(e)
	}
	if c.byAge.Len() >= maxCachedNames {
		c.dropLocked(c.byAge.Front())
	}
	if c.byKey == nil {
		c.byKey = make(map[question]*list.Element)
	}
	c.byKey[q] = c.byAge.PushBack(&cachedAnswer{q, a, now.Add(ttl)})
}

func (c *nameCache) dropLocked(e *list.Element) {
	delete(c.byKey, e.Value.(*cachedAnswer).question)
	c.byAge.Remove(e)
}
