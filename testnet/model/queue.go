// SPDX-License-Identifier: BSD-3-Clause

package model

// kind says what happens.
type kind uint8

const (
	kindCall    kind = iota // something of the scenario's, or a role's answer
	kindTick                // a machine has asked for it
	kindFrame               // a frame arrives
	kindArrived             // a call arrives at who is called
	kindUp                  // the call stands, at the caller
	kindDown                // a stream has ended, at one end
)

// event is something that happens to a node. Events are ordered by time, then by who
// made them, then by the order in which that one made them: nothing depends on what the
// rest of the network did in between.
type event struct {
	at     int64  // ns since 1970
	seq    uint64 // of source
	source int32  // node; -1: the scenario
	node   int32  // to whom; -1: to nobody
	life   uint32 // of that node's process, where it matters
	link   uint32 // an end of a stream
	kind   kind
	body   []byte
	do     func()
}

func (e *event) before(o *event) bool {
	if e.at != o.at {
		return e.at < o.at
	}
	if e.source != o.source {
		return e.source < o.source
	}
	return e.seq < o.seq
}

// queue is a heap with four children to a node: half as deep as one with two, and its
// children share cache lines.
type queue struct{ all []event }

func (q *queue) len() int { return len(q.all) }

func (q *queue) push(e event) {
	q.all = append(q.all, e)
	i := len(q.all) - 1
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&q.all[up]) {
			break
		}
		q.all[i] = q.all[up]
		i = up
	}
	q.all[i] = e
}

func (q *queue) pop() event {
	first := q.all[0]
	last := q.all[len(q.all)-1]
	q.all[len(q.all)-1] = event{} // holds no memory
	q.all = q.all[:len(q.all)-1]
	n := len(q.all)
	if n == 0 {
		return first
	}
	i := 0
	for {
		least := 4*i + 1
		if least >= n {
			break
		}
		for c := least + 1; c < min(least+4, n); c++ {
			if q.all[c].before(&q.all[least]) {
				least = c
			}
		}
		if !q.all[least].before(&last) {
			break
		}
		q.all[i] = q.all[least]
		i = least
	}
	q.all[i] = last
	return first
}
