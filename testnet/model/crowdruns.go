// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"chive/directory/committee"
	"chive/directory/genesis"
	"chive/directory/record"
)

// maxFull is up to how many relays scenarios of spreading run full machines: beyond,
// their memory exceeds 2 GiB, and gossip machines run alone.
const maxFull = 2000

// commonRecords is how many descriptors the relays of a crowd hold from the start. Fewer
// than relays: no frame's size depends on it, only the time to look one up.
const commonRecords = 1000

func crowdNote(n int) string {
	return fmt.Sprintf("%d relays: the gossip machines alone, with made-up records; full machines go up to %d", n, maxFull)
}

// spreadCrowd is spreadRelays for a crowd. Votes and descriptors each meet a network in
// which nobody has met a liar.
func spreadCrowd(ctx context.Context, t task) (*outcome, error) {
	out := &outcome{notes: []string{crowdNote(t.relays)}}
	assigned := map[assignment][]record.RID{}
	measure := func(name string, class byte, size, count int, gap time.Duration, most, all float64) error {
		c := newCrowd(t.seed, t.relays, 330, commonRecords, genesis.Public(), t.progress)
		c.assigned = assigned // they are the same, and take long to draw
		if err := c.run(ctx, time.Minute, nil); err != nil {
			return err
		}
		var records []*crowdRecord
		for range count {
			m := c.nodes[below(c.chance, len(c.nodes))]
			for m.liar {
				m = c.nodes[below(c.chance, len(c.nodes))]
			}
			records = append(records, c.publish(m, class, size))
			if err := c.run(ctx, gap, nil); err != nil {
				return err
			}
		}
		err := c.run(ctx, 5*time.Minute, func() bool {
			for _, r := range records {
				if r.all == 0 {
					return false
				}
			}
			return true
		})
		m, a, copies, lost := c.times(records)
		out.figures = append(out.figures, spreadFigures(name, m, a, copies, lost, most, all)...)
		out.hash += c.hash()
		return err
	}
	urgent, bulk := 32, 12
	if t.short {
		urgent, bulk = 8, 4
	}
	if err := measure("urgent", record.ClassVote, 2000, urgent, 50*time.Millisecond, 8, 20); err != nil {
		return nil, err
	}
	if err := measure("bulk", record.ClassDescriptor, 400, bulk, time.Second, 15, 60); err != nil {
		return nil, err
	}
	return out, nil
}

// costCrowd lets an hour pass in a crowd, with an epoch's votes, proposals, signatures
// and certificates, the descriptors that fall due, and repairs. Spec: directory §14 (G2).
func costCrowd(ctx context.Context, t task) (*outcome, error) {
	return crowdHour(ctx, t, t.relays, 1.0, crowdNote(t.relays))
}

// largest is the network whose traffic costLarge carries (directory §14, G2).
const largest = 100_000

// costLarge lets fewer machines pass on what a network of 100,000 has to: as many
// descriptors an hour, and votes of its size by as many members. What a relay sends and
// receives hangs on those and on its number of neighbours, which is the same in any
// network, and not on how many others there are; how far records travel, and how long,
// does, and is not what this tells.
func costLarge(ctx context.Context, t task) (*outcome, error) {
	return crowdHour(ctx, t, largest, 8.0, fmt.Sprintf("%d gossip machines among each other, with the records of a network of %d relays", t.relays, largest))
}

// crowdHour is an hour of a crowd with the records of a network of so many relays.
func crowdHour(ctx context.Context, t task, network int, most float64, note string) (*outcome, error) {
	p := genesis.Public()
	c := newCrowd(t.seed, t.relays, 0, commonRecords, p, t.progress)
	out := &outcome{notes: []string{note}}
	if err := c.run(ctx, time.Minute, nil); err != nil {
		return nil, err
	}
	before := c.bytes()
	seats := min(network, p.CommitteeMax)
	// Sizes of directory §6 and protocol §11: a vote of so many relays, a proposal, a
	// signature, a certificate of a quorum.
	voteSize := 180 + network*182/1000
	c.quorum = committee.Quorum(seats)
	certificate := c.records[c.record(record.ClassCertificate, 700+64*c.quorum)]
	c.final = func(m *member) { c.announce(m, certificate) }
	var votes, rest []*crowdRecord
	for i := range seats {
		m := c.nodes[i*len(c.nodes)/seats]
		at := time.Duration(m.net.Uint64() % uint64(p.Propose/6))
		c.after(5*time.Minute+at, func() { votes = append(votes, c.publish(m, record.ClassVote, voteSize)) })
		c.after(5*time.Minute+p.Sign, func() { rest = append(rest, c.publish(m, record.ClassSignature, 150)) })
		if i < 3 {
			c.after(5*time.Minute+p.Propose+time.Duration(i)*p.HoldOffStep, func() {
				rest = append(rest, c.publish(m, record.ClassProposal, 800+32*seats))
			})
		}
	}
	var bulk []*crowdRecord
	due := int(time.Duration(network) * p.EpochLen / p.Republish)
	for range due {
		m := c.nodes[below(c.chance, len(c.nodes))]
		c.after(time.Duration(c.chance.Uint64()%uint64(p.EpochLen-time.Minute)), func() {
			bulk = append(bulk, c.publish(m, record.ClassDescriptor, 420))
		})
	}
	hour := p.EpochLen
	began := processorTime()
	if err := c.run(ctx, hour, nil); err != nil {
		return nil, err
	}
	spent := processorTime() - began
	after := c.bytes()
	var total, highest float64
	for i := range c.nodes {
		d := after[i] - before[i]
		total += d
		highest = max(highest, d)
	}
	hours := hour.Hours()
	mb := func(bytes float64) float64 { return bytes / 1e6 / hours }
	_, _, v, lostVotes := c.times(votes)
	_, _, b, lostBulk := c.times(bulk)
	out.figures = []figure{
		atMost("bytes per relay and hour, both directions, mean", "MB/h", mb(total/float64(len(c.nodes))), most),
		show("the busiest relay", "MB/h", mb(highest)),
		atMost("votes: payloads received per relay and record", "copies", v, 1.05),
		atMost("descriptors: payloads received per relay and record", "copies", b, 1.05),
		atMost("votes and descriptors that did not reach everybody", "", float64(lostVotes+lostBulk), 0),
		show("certificates received per relay", "copies", float64(certificate.copies)/float64(c.honest)),
		show("announcements (INV)", "MB/h", mb(float64(2*c.sizes[frameInv])/float64(len(c.nodes)))),
		show("records (GET, ITEM, PUSH)", "MB/h", mb(float64(2*(c.sizes[frameGet]+c.sizes[frameItem]+c.sizes[framePush]))/float64(len(c.nodes)))),
		show("repairs", "MB/h", mb(float64(2*(c.sizes[7]+c.sizes[8]+c.sizes[9]+c.sizes[10]))/float64(len(c.nodes)))),
		show("processor time of gossip per relay", "s/h", spent.Seconds()/float64(len(c.nodes))/hours),
		show("memory per gossip machine, shared records and queue included", "KiB", heapKiB()/float64(len(c.nodes))),
	}
	out.hash = c.hash()
	runtime.KeepAlive(c)
	return out, nil
}

// bytes returns what each relay has sent and received.
func (c *crowd) bytes() (each []float64) {
	for _, m := range c.nodes {
		s := m.m.Stats()
		each = append(each, float64(s.BytesIn+s.BytesOut))
	}
	return each
}

// heapKiB is the memory in use after a collection.
func heapKiB() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc) / 1024
}
