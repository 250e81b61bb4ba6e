// SPDX-License-Identifier: BSD-3-Clause

package model

import (
	"context"

	"chive/testnet/scenario"
)

// Scenarios returns the experiments of this package.
func Scenarios() []scenario.Scenario {
	var out []scenario.Scenario
	for _, e := range append(experiments(), idleExperiment()) {
		out = append(out, e.scenario())
	}
	return out
}

func experiments() []experiment {
	return []experiment{
		{"spread", "G1", "how fast records reach everybody while 33 % of the relays announce everything and deliver nothing",
			1000, 30, upTo(10), bySize(spreadRelays, spreadCrowd)},
		{"cost", "G2", "bytes, copies, processor time and memory of an hour of an honest network",
			1000, 30, upTo(3), bySize(costRelays, costCrowd)},
		{"large", "G2", "bytes and copies of an hour of a relay in a network of 100,000, whose records fewer machines pass to each other",
			1000, 30, upTo(3), costLarge},
		{"whole", "G2, G3", "seven minutes of a large network of full machines, across the start of an epoch",
			3000, 30, upTo(1), wholeRelays},
		{"memory", "G2", "what one machine of a large network holds in memory",
			10000, 200, upTo(1), memoryRelay},
		{"partition", "G1", "a network in two halves for 30 minutes, across the start of an epoch, and how it heals",
			1000, 40, upTo(3), partitionRelays},
		{"halves", "", "a small network in two halves for 1, 4 and 12 hours",
			60, 20, upTo(3), longPartitions},
		{"lies", "", "a third of the relays lie to gossip, in five ways alone and mixed",
			100, 30, upTo(3), allLies},
		{"newcomers", "", "five times as many newcomers as relays ask to join at once",
			30, 10, upTo(3), floodOfNewcomers},
		{"load", "G5", "what one machine takes of a core while all its neighbours bring it new candidates as fast as its caps let them",
			1000, 60, upTo(3), floodLoad},
		{"churn", "", "5 % of the relays an hour leave without a word and return, outages of a third of the members, wrong clocks",
			60, 20, upTo(3), churnRelays},
		{"kills", "", "relays are killed around what they store and go on from it",
			10, 5, upTo(10), killRelays},
		{"terms", "", "a network for eight terms: newcomers at any age of it, relays that leave, lose their store or are long away, a standstill, and clients that sleep",
			20, 10, upTo(3), termsRelays},
		{"weeks", "", "the same for four terms of a public network, which are weeks",
			24, 12, upTo(3), weeksRelays},
		{"equivocate", "", "members withhold, delay and say two things, alone and mixed, up to 40 % of them",
			16, 10, upTo(3), equivocators},
	}
}

// idleExperiment is beside the others: it runs in real time, with real processes.
func idleExperiment() experiment {
	return experiment{"idle", "", "what two real relay processes that nobody uses take of a core, among 1,000 relays, in 18 minutes of real time",
		1000, 30, upTo(1), idleRelays}
}

// bySize runs full machines while they fit, and gossip machines alone beyond.
func bySize(full, crowd func(ctx context.Context, t task) (*outcome, error)) func(ctx context.Context, t task) (*outcome, error) {
	return func(ctx context.Context, t task) (*outcome, error) {
		if t.relays > maxFull {
			return crowd(ctx, t)
		}
		return full(ctx, t)
	}
}
