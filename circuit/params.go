// SPDX-License-Identifier: BSD-3-Clause

package circuit

import (
	"time"

	"chive/circuit/cell"
)

// Params are the network parameters a circuit's ends agree on. Counts are cells
// unless the name says otherwise. Spec: protocol §5.
type Params struct {
	WindowInit int // congestion window at the start
	WindowMin  int // it never falls below this; at least 2 * AckEvery
	WindowMax  int // nor rises above this
	AckEvery   int // the receiver answers every so many counted cells
	Alpha      int // grow while fewer cells than this are queued on the path
	Beta       int // shrink while more are
	Gamma      int // slow start ends when more are
	Delta      int // fall back to the path's capacity when more are
	CreditSize int // bytes a stream may send before it gets credit
}

// DefaultParams returns the values a network has unless its genesis document
// says otherwise.
func DefaultParams() Params {
	return Params{
		WindowInit: 64, WindowMin: 64, WindowMax: 1024, AckEvery: 32,
		Alpha: 48, Beta: 64, Gamma: 64, Delta: 80,
		CreditSize: 256 << 10,
	}
}

// usable reports whether a circuit can live with p: a window below two
// acknowledgements can wait for one that never comes, and the early data of
// BEGIN has to fit into the credit.
func (p Params) usable() bool {
	return p.AckEvery > 0 && p.WindowMin >= 2*p.AckEvery &&
		p.WindowMin <= p.WindowInit && p.WindowInit <= p.WindowMax &&
		0 <= p.Alpha && p.Alpha <= p.Beta && p.Beta <= p.Delta && p.Gamma >= 0 &&
		p.CreditSize >= 2*cell.MaxBody && p.CreditSize <= maxCredit
}

// Limits of our own.
const (
	// maxStreams bounds the streams of one circuit, lingering ones included.
	maxStreams = 256
	// dataCells bounds the cells of stream data and passed cells that wait
	// to be written; a writer then waits.
	dataCells = 32
	// datagramCells is the share of dataCells that datagrams may fill, so that
	// a flood of them leaves room for the other streams.
	datagramCells = dataCells / 2
	// maxQueuedCells bounds all cells that wait. Only answers can go beyond
	// dataCells; a client that asks without reading the answers ends here.
	maxQueuedCells = 96
	// maxAskingCells bounds the cells that wait when a client asks for a new
	// stream, so that room is left for the messages of those it has.
	maxAskingCells = maxQueuedCells / 2
	// maxEvents bounds the events the owner has not fetched.
	maxEvents = 4 * maxStreams
	// maxCells is the number of cells a circuit may carry in one direction.
	// Spec: protocol §3.
	maxCells = 1 << 32
	// creditSteps is in how many parts a stream gets its credit back: what is held
	// back meanwhile is missing in each round trip.
	creditSteps = 4
	// maxDatagrams and datagramLife bound the queue of one UDP association:
	// the carrier is reliable and ordered, so stale data is worse than lost.
	maxDatagrams = 64
	datagramLife = 2 * time.Second
	// assemblyLife bounds the time a fragmented message may take.
	assemblyLife = 30 * time.Second
	// maxCredit bounds CreditSize, whatever the network's parameters say.
	maxCredit = 16 << 20
)
