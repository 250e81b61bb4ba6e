// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"

	"chive/directory/committee"
	"chive/directory/path"
	"chive/directory/record"
	"chive/directory/snapshot"
	"chive/directory/sybil"
	"chive/directory/weight"
)

// Look is what the attacker holds on one day, shares of 1.
type Look struct {
	Day       int
	Table     int // relays
	Hostile   int // of them
	Guard     float64
	Middle    float64
	Exit      float64
	Path      float64 // guard share x exit share
	Sampled   float64 // of paths that the real selector chose, both ends hostile; with Samples
	Clean     float64 // of these, no hop hostile
	Samples   int
	Committee float64 // of the eligible weight
	Seats     float64 // of the seats of both lists
}

// Outcome is what a run found.
type Outcome struct {
	Attack       string
	Honest       int
	Looks        []Look
	FirstGuard   int // day on which the attacker first had guard weight; 0: never
	Admitted     [2]int
	VouchedWaits []Wait
	OpenWaits    []Wait
	Fill         float64 // largest part of the store of candidates in use
	Broken       int     // paths that no rule left
	Evaded       Evaded  // with an evasion
	Trace        string
}

// Wait is how long honest newcomers waited who asked in a span of days.
type Wait struct {
	From, To int
	Asked    int
	Median   float64 // days; those who still wait count as waiting until the end
	Never    int     // who still waits
}

// look measures the end of a day.
func (s *growth) look(day int) {
	table := s.state.Snapshot().Table()
	today := s.state.Snapshot().Day()
	guards := weight.Guards(table, s.p, today, false)
	if s.out.FirstGuard == 0 && s.part(guards) > 0 {
		s.out.FirstGuard = day
	}
	held, _ := s.pending.Len()
	bound := max(sybil.MinPending, sybil.PendingPerRelay*table.Len())
	s.out.Fill = max(s.out.Fill, float64(held)/float64(bound))
	if !slices.Contains(s.At, day) {
		return
	}
	w := weight.Compute(table, s.p, today)
	l := Look{Day: day, Table: table.Len(), Guard: s.part(w.Guard), Middle: s.part(w.Middle), Exit: s.part(w.Exit)}
	l.Path = l.Guard * l.Exit
	may := weight.Guards(table, s.p, today, true)
	for i := range table.Len() {
		if s.nodes[table.At(i).RID].side == hostile {
			l.Hostile++
		}
		if !s.state.Eligible(s.p, i) {
			may[i] = 0
		}
	}
	l.Committee = s.part(may)
	var seats, bad int
	for _, n := range []committee.Name{committee.A, committee.B} {
		if now, _ := s.state.List(n); now != nil {
			for i := range now.Seats {
				seats++
				if s.nodes[now.Seats[i].RID].side == hostile {
					bad++
				}
			}
		}
	}
	l.Seats = float64(bad) / float64(max(seats, 1))
	s.sample(&l)
	s.out.Looks = append(s.out.Looks, l)
	for _, v := range []int{day, l.Table, l.Hostile, bad} {
		s.trace.Write(binary.BigEndian.AppendUint64(nil, uint64(v)))
	}
}

// part is the attacker's part of weights.
func (s *growth) part(weights []uint64) float64 {
	table := s.state.Snapshot().Table()
	var all, bad float64
	for i, w := range weights {
		all += float64(w)
		if w > 0 && s.nodes[table.At(i).RID].side == hostile {
			bad += float64(w)
		}
	}
	if all == 0 {
		return 0
	}
	return bad / all
}

// paths is how many paths a look samples.
const paths = 20000

// sample has the real selector choose paths of three hops to a web port, each with a
// fresh guard.
func (s *growth) sample(l *Look) {
	chosen := path.NewSelector(s.state.Snapshot(), s.p)
	rand := bytesOf{rand.New(rand.NewPCG(s.Seed, uint64(1000+l.Day)))}
	req := path.Request{Hops: path.MinHops, Target: path.Exit(record.TCP, 443), FreshGuard: true}
	ends, clean := 0, 0
	for range paths {
		hops, err := chosen.Choose(rand, req)
		var broken *path.RuleError
		if errors.As(err, &broken) {
			s.out.Broken++
			continue
		}
		l.Samples++
		bad := func(r *snapshot.Relay) bool { return s.nodes[r.RID].side == hostile }
		if bad(hops[0]) && bad(hops[2]) {
			ends++
		}
		if !slices.ContainsFunc(hops, bad) {
			clean++
		}
	}
	l.Sampled, l.Clean = float64(ends)/float64(max(l.Samples, 1)), float64(clean)/float64(max(l.Samples, 1))
}

// bytesOf reads a generator's bytes.
type bytesOf struct{ *rand.Rand }

// Read fills b. It never fails.
func (r bytesOf) Read(b []byte) (int, error) {
	for at := 0; at < len(b); at += 8 {
		var word [8]byte
		binary.BigEndian.PutUint64(word[:], r.Uint64())
		copy(b[at:], word[:])
	}
	return len(b), nil
}

// spans are the days over which waits are told apart: before anybody hostile may
// vouch, while it begins, and after.
var spans = [][2]int{{0, 60}, {60, 120}, {120, 180}}

func (s *growth) finish() {
	end := s.state.Epoch()
	for _, r := range s.waiting {
		if r.side == honest && r.joined == 0 {
			s.waits = append(s.waits, wait{r.asked - s.first, -1, r.vouched})
		}
	}
	for _, vouched := range []bool{true, false} {
		for _, span := range spans {
			w := Wait{From: span[0], To: span[1]}
			var hours []int
			for _, one := range s.waits {
				if at := int(one.asked) / s.p.Day; one.vouched != vouched || at < span[0] || at >= span[1] {
					continue
				}
				w.Asked++
				if one.hours < 0 {
					w.Never++
					one.hours = int(end - s.first - one.asked)
				}
				hours = append(hours, one.hours)
			}
			if w.Asked == 0 {
				continue
			}
			slices.Sort(hours)
			w.Median = float64(hours[len(hours)/2]) / float64(s.p.Day)
			if vouched {
				s.out.VouchedWaits = append(s.out.VouchedWaits, w)
			} else {
				s.out.OpenWaits = append(s.out.OpenWaits, w)
			}
		}
	}
	if s.evading != nil {
		s.evasionEnds()
	}
	s.out.Trace = hex.EncodeToString(s.trace.Sum(nil))
}
