// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// A node's live heap is a few megabytes for itself and some more for each thousand
// circuits. What it allocates on top comes in bursts, with the circuits that are
// built: so it is collected late while there is work, within a bound that does not
// grow with the heap, and given back to the system when the work is done.
const (
	softMemory  = 512 << 20 // bytes: from here on the heap is collected as often as need be
	garbage     = 32 << 20  // bytes that may wait to be collected, about
	mostPercent = 400       // of what is live: a small heap needs no more
	minPercent  = 50        // of what is live: a large heap is not collected all the time

	memoryEvery = time.Second      // between looks at the process
	quietBytes  = 1 << 20          // allocated in one look: less is quiet
	quietTime   = memoryEvery / 20 // processor time used in one look: less is quiet
	freeEvery   = 10               // looks between two collections of a quiet process, at least
	freeWorth   = 4 << 20          // bytes allocated since the last one: fewer are not worth it
	freeTimes   = 2                // collections after work: pools give back with the second
)

// TuneMemory trades memory for speed as a long-running node should. It is called
// once, by the process that runs roles, and lasts as long as the process.
func TuneMemory() {
	debug.SetGCPercent(mostPercent)
	debug.SetMemoryLimit(softMemory)
	go func() {
		m := memory{percent: mostPercent}
		look := newMemoryLook()
		for range time.NewTicker(memoryEvery).C {
			before := m.percent
			free := m.next(look.use())
			if m.percent != before {
				debug.SetGCPercent(m.percent)
			}
			if free {
				debug.FreeOSMemory()
			}
		}
	}()
}

// memoryUse is what one look at the process shows.
type memoryUse struct {
	allocated uint64        // bytes since the process began
	kept      uint64        // bytes that the last collection left, and stacks
	spent     time.Duration // processor time since the process began
}

// memory decides when garbage is collected.
type memory struct {
	percent int // garbage that may wait, of what is kept
	last    memoryUse
	freed   uint64 // allocated at the last collection of a quiet process
	owed    int    // such collections to come
	wait    int    // looks until the next one may come
}

// next takes one look. It reports whether the process has become quiet after work
// and shall give back what that work took.
func (m *memory) next(u memoryUse) (free bool) {
	percent := int(min(mostPercent, max(minPercent, 100*garbage/max(u.kept, 1))))
	if 8*max(percent-m.percent, m.percent-percent) > m.percent {
		m.percent = percent // setting it stops the process for a moment
	}
	quiet := u.allocated-m.last.allocated < quietBytes && u.spent-m.last.spent < quietTime
	m.last = u
	m.wait = max(0, m.wait-1)
	if u.allocated-m.freed >= freeWorth {
		m.owed = freeTimes
	}
	if !quiet || m.owed == 0 || m.wait > 0 {
		return false
	}
	m.owed--
	m.freed, m.wait = u.allocated, freeEvery
	return true
}

// memoryLook reads what memory decides by.
type memoryLook []metrics.Sample

func newMemoryLook() memoryLook {
	return memoryLook{
		{Name: "/gc/heap/allocs:bytes"},
		{Name: "/gc/heap/live:bytes"},
		{Name: "/memory/classes/heap/stacks:bytes"},
	}
}

func (l memoryLook) use() memoryUse {
	metrics.Read(l)
	spent, _ := processorTime() // where it is not known, allocations alone decide
	return memoryUse{allocated: l[0].Value.Uint64(), kept: l[1].Value.Uint64() + l[2].Value.Uint64(), spent: spent}
}
