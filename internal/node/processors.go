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
	processorsIdle  = 0.35                   // of what it may use: it may do with fewer
	processorsStay  = 20                     // looks for which it was idle before it gets fewer
)

// processors decides how many processors the process may use.
type processors struct {
	most int // what the machine and the process's limits give
	now  int
	idle int // looks since it last had a use for all of now
}

// next returns how many processors the process may use after it used so much
// processor time for each second of the last look.
func (p *processors) next(used float64) int {
	switch now := float64(p.now); {
	case used >= processorsFull*now:
		p.now, p.idle = min(2*p.now, p.most), 0
	case used >= processorsIdle*now || p.now == 1:
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
		last := time.Now()
		for {
			select {
			case <-ctx.Done():
				return
			case <-look.C:
			}
			now := time.Now()
			total, _ := processorTime()
			before := p.now
			if p.next(float64(total-spent)/float64(max(now.Sub(last), 1))) != before {
				runtime.GOMAXPROCS(p.now)
			}
			last, spent = now, total
		}
	}()
}
