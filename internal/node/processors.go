// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"context"
	"os"
	"runtime"
	"time"
)

// A node mostly waits: cells come in bursts, and for each burst a runtime that may
// use every processor wakes threads which find nothing left to do. On one processor
// the same work costs a quarter less. So a node runs on as few as its load needs.
const (
	processorsEvery = 250 * time.Millisecond // between looks at the load
	processorsFull  = 0.75                   // of what it may use: it gets twice as many
	processorsWants = 0.95                   // the same, with what its threads waited for
	processorsIdle  = 0.35                   // of what it may use: it may do with fewer
	processorsStay  = 20                     // looks for which it was idle before it gets fewer
	processorsWait  = 4                      // looks for which its threads waited before it gets more
)

// processors decides how many processors the process may use.
type processors struct {
	most int // what the machine and the process's limits give
	now  int
	idle int // looks since it last had a use for all of now
	wait int // looks for which it wanted all of now, and others had them
}

// next returns how many processors the process may use after it used so much
// processor time for each second of the last look, and its threads waited so much
// for a processor that others had.
func (p *processors) next(used, waited float64) int {
	wants := used + waited
	if wants >= processorsWants*float64(p.now) {
		p.wait++
	} else {
		p.wait = 0
	}
	switch now := float64(p.now); {
	case used >= processorsFull*now, p.wait >= processorsWait:
		p.now, p.idle, p.wait = min(2*p.now, p.most), 0, 0
	case wants >= processorsIdle*now || p.now == 1:
		p.idle = 0
	default:
		if p.idle++; p.idle == processorsStay {
			p.now, p.idle = (p.now+1)/2, 0
		}
	}
	return p.now
}

// TuneProcessors keeps the number of processors that this process uses near to what
// its load needs, until ctx ends. GOMAXPROCS in the environment overrules it. It is
// called once, by the process that runs roles, when they are ready: starting is work
// for all processors, and roles that take a share of them see how many there are.
func TuneProcessors(ctx context.Context) {
	most := runtime.GOMAXPROCS(0)
	if _, fixed := os.LookupEnv("GOMAXPROCS"); fixed || most == 1 {
		return
	}
	spent, ok := processorTime()
	if !ok {
		return
	}
	p := processors{most: most, now: 1}
	runtime.GOMAXPROCS(p.now)
	go func() {
		defer runtime.GOMAXPROCS(most)
		look := time.NewTicker(processorsEvery)
		defer look.Stop()
		last, late := time.Now(), waitedTime()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			now := time.Now()
			total, _ := processorTime()
			waited := waitedTime()
			before, took := p.now, float64(max(now.Sub(last), 1))
			if p.next(float64(total-spent)/took, float64(max(waited-late, 0))/took) != before {
				runtime.GOMAXPROCS(p.now)
			}
			last, spent, late = now, total, waited
		}
	}()
}
