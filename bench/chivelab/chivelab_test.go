// SPDX-License-Identifier: BSD-3-Clause

package chivelab

import (
	"testing"
	"time"
)

func TestWhatChivePrintsIsRead(t *testing.T) {
	s, err := parseSaid(`{"schema":"chive.progress/1","event":"bootstrap","percent":85,"tag":"building_circuit","text":"x"}`)
	if err != nil || s.Event != "bootstrap" || s.Tag != "building_circuit" || s.Percent != 85 {
		t.Errorf("%+v, %v", s, err)
	}
	for _, bad := range []string{"", "ready relay", "{", `{"schema":"other/1"}`, `{"level":"info","message":"x"}`, `[1]`} {
		if _, err := parseSaid(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestClientTakesTheTimesOfItsFirstCircuit(t *testing.T) {
	c := &client{ready: make(chan struct{})}
	at := func(n int) time.Time { return time.Unix(int64(n), 0) }
	c.line(at(1), `{"schema":"chive.progress/1","event":"bootstrap","tag":"connecting"}`)
	c.line(at(2), `{"schema":"chive.progress/1","event":"bootstrap","tag":"building_circuit"}`)
	c.line(at(3), "no object")
	c.line(at(5), `{"schema":"chive.progress/1","event":"bootstrap","tag":"done"}`)
	select {
	case <-c.ready:
		t.Fatal("ready before it said so")
	default:
	}
	for range 2 {
		c.line(at(6), `{"schema":"chive.client/1","event":"ready","socks":["127.0.0.1:1"]}`)
	}
	<-c.ready
	if got := c.built.Sub(c.building); got != 3*time.Second {
		t.Errorf("the circuit took %v", got)
	}
}
