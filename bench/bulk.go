// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"context"
	"time"

	"chive/bench/lab"
	"chive/bench/measure"
	"chive/bench/report"
)

// down moves one large object.
func (t *trial) down(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	if err := t.load.Warm(ctx, "down", 1); err != nil {
		return err
	}
	return t.bulk(report.Down, report.CPU, t.sizes.BulkBytes, func() (time.Duration, error) {
		return t.load.Download(ctx, "down0", t.sizes.BulkBytes, bulkTime)
	})
}

// up moves one large object the other way.
func (t *trial) up(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	if err := t.load.Warm(ctx, "up", 1); err != nil {
		return err
	}
	return t.bulk(report.Up, report.CPUUp, t.sizes.BulkBytes, func() (time.Duration, error) {
		return t.load.Upload(ctx, "up0", t.sizes.BulkBytes, bulkTime)
	})
}

// parallel moves several at once, each on a circuit of its own.
func (t *trial) parallel(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	n := t.sizes.ParallelCount
	if err := t.load.Warm(ctx, "parallel", n); err != nil {
		return err
	}
	return t.bulk(report.Down8, report.CPU8, int64(n)*t.sizes.StreamBytes, func() (time.Duration, error) {
		return t.load.Parallel(ctx, "parallel", n, t.sizes.StreamBytes, bulkTime)
	})
}

// bulk times move, which moves size bytes, and counts the processor time meanwhile.
func (t *trial) bulk(speed, cpu string, size int64, move func() (time.Duration, error)) error {
	before := t.used()
	took, err := move()
	if err != nil {
		return err
	}
	t.set(speed, float64(size)/1e6/took.Seconds())
	spent := t.used().since(before, float64(size)/1e9)
	t.set(cpu, spent.total)
	if cpu != report.CPU {
		return nil
	}
	t.set(report.CPUClient, spent.client)
	roles, err := t.roles()
	if err != nil {
		t.note("processor time by role: the guard is not shown to this user, root sees it")
	}
	sums := byRole(spent.relays, roles)
	for _, r := range []struct {
		role lab.Role
		id   string
	}{{lab.Guard, report.CPUGuard}, {lab.Middle, report.CPUMiddle}, {lab.Exit, report.CPUExit}} {
		if v, ok := sums[r.role]; ok {
			t.set(r.id, v)
		}
	}
	return nil
}

// usage is processor time in seconds, or in seconds for each GB.
type usage struct {
	client, total float64
	relays        []float64 // in the network's order
}

// used reads how much every process has used so far.
func (t *trial) used() usage {
	var u usage
	d, _ := measure.CPU(t.client.PID()) // a process that is gone shows in what it was to do
	u.client = d.Seconds()
	u.total = u.client
	for _, r := range t.net.Relays() {
		d, _ := measure.CPU(r.PID())
		u.relays = append(u.relays, d.Seconds())
		u.total += d.Seconds()
	}
	return u
}

// since returns the difference to before, for each of amount.
func (u usage) since(before usage, amount float64) usage {
	out := usage{client: (u.client - before.client) / amount, total: (u.total - before.total) / amount}
	for i := range u.relays {
		out.relays = append(out.relays, (u.relays[i]-before.relays[i])/amount)
	}
	return out
}

// byRole adds up what the relays of each role used.
func byRole(relays []float64, roles []lab.Role) map[lab.Role]float64 {
	out := make(map[lab.Role]float64)
	for i, v := range relays {
		if roles[i] != "" {
			out[roles[i]] += v
		}
	}
	return out
}

// roles tells what each relay does. Where the network does not pin it, the guard is
// the relay with which the client has exchanged the most, exits aside, and what is
// neither guard nor exit is a middle.
func (t *trial) roles() ([]lab.Role, error) {
	relays := t.net.Relays()
	roles := make([]lab.Role, len(relays))
	pinned := true
	for i, r := range relays {
		roles[i] = r.Role
		pinned = pinned && r.Role != ""
	}
	if pinned {
		return roles, nil
	}
	sockets, err := measure.Sockets(t.client.PID())
	if err != nil {
		return roles, err
	}
	return guess(relays, sockets), nil
}

func guess(relays []lab.Relay, sockets []measure.Socket) []lab.Role {
	roles := make([]lab.Role, len(relays))
	guard, most := -1, uint64(0)
	for i, r := range relays {
		roles[i] = r.Role
		if r.Role != "" {
			continue
		}
		roles[i] = lab.Middle
		var sum uint64
		for _, s := range sockets {
			if s.Remote.Port() == r.Port {
				sum += s.Received + s.Sent
			}
		}
		if sum > most {
			guard, most = i, sum
		}
	}
	if guard >= 0 {
		roles[guard] = lab.Guard
	}
	return roles
}

// small fetches many small objects at once.
func (t *trial) small(ctx context.Context) error {
	if t.client == nil {
		return errClient
	}
	const most = 200_000 // objects; the ports of loopback are no endless supply
	n := t.sizes.SmallClients
	if err := t.load.Warm(ctx, "small", n); err != nil {
		return err
	}
	d := time.Duration(t.sizes.SmallSeconds * float64(time.Second))
	done, failed, took, err := t.load.Small(ctx, "small", n, t.sizes.SmallBytes, d, most)
	if err != nil {
		return err
	}
	if failed > 0 {
		t.note("small objects: %d of %d streams failed", failed, done+failed)
	}
	t.set(report.Small, float64(done)/took.Seconds())
	return nil
}
