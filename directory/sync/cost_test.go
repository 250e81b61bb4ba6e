// SPDX-License-Identifier: BSD-3-Clause

package sync

import (
	"fmt"
	"testing"

	"chive/directory/genesis"
	"chive/directory/vote"
)

// hourly is a server of a network of that age in hours, whose committees are drawn each
// week, at the clock where its newest snapshot is the latest.
func hourly(t testing.TB, relays int, hours uint64) (*lab, *Server) {
	t.Helper()
	p := genesis.Public()
	p.SeatsPerGroup, p.SeatsPerNet, p.StopEpoch, p.StopDay = 0, 0, 0, 0
	l := newLab(t, relays, p)
	s := NewServer(l.doc)
	for e := uint64(1); e < hours; e++ {
		f := l.grow()
		if e%168 == 48 {
			f = l.grow(l.renewAll(relays)...)
			e++
		}
		f.Steps = f.Steps[max(0, len(f.Steps)-vote.MaxStepCount):]
		s = s.With(f)
		l.finals = l.finals[max(0, len(l.finals)-4):]
	}
	return l, s
}

// asks returns requests of clients that name no list, one list of each age, and those of
// one that is up to date.
func asks(l *lab, s *Server) (names []string, bodies map[string][]byte) {
	bodies = map[string][]byte{}
	ask := func(name string, lists ...[32]byte) {
		names = append(names, name)
		bodies[name] = mustEncode(l.t, &Request{Code: CodeSync, Lists: lists})
	}
	ask("none")
	ask("unknown", number(1), number(2))
	for i, k := range s.hand.known {
		ask(fmt.Sprintf("one %02d", i), k.root)
	}
	h := s.newest().snap.Header()
	ask("usual", h.ListA, h.ListB)
	return names, bodies
}

// Whatever lists a client names, what it asks for costs a relay about as much: headers of
// certificates are not decoded anew for each look, nor are steps made twice.
func TestNoListMakesAnAnswerDear(t *testing.T) {
	l, s := hourly(t, 8, 1200)
	if len(s.certs) < 1000 || len(s.hand.known) < 12 {
		t.Fatalf("%d certificates and %d steps are no test", len(s.certs), len(s.hand.known))
	}
	names, bodies := asks(l, s)
	for _, name := range names {
		most := 5000.0
		if name == "none" || name == "unknown" {
			most = 500
		}
		n := testing.AllocsPerRun(1, func() { s.Answer(l.clock(), bodies[name]) })
		t.Logf("%s: %.0f allocations", name, n)
		if n > most {
			t.Errorf("%s: %.0f allocations, want %.0f at most", name, n, most)
		}
	}
}

// BenchmarkAnswer: 90 days of hourly certificates, 96 seats.
func BenchmarkAnswer(b *testing.B) {
	l, s := hourly(b, 96, 2160)
	names, bodies := asks(l, s)
	for _, name := range names {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				s.Answer(l.clock(), bodies[name])
			}
		})
	}
}
