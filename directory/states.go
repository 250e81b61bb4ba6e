// SPDX-License-Identifier: BSD-3-Clause

package directory

import "chive/directory/gossip"

// servedStates is how many of the newest states are given to others, so that one who
// has begun can end.
const servedStates = 3

// served is a bundle that others may fetch, encoded when the first one asks.
type served struct {
	*bundle
	data []byte
}

// states is the machine as gossip sees its tables.
type states struct{ *Machine }

var _ gossip.States = states{}

// Part returns a part of one of the newest states. Spec: directory §4 (STATE).
func (s states) Part(header gossip.Digest, part uint32) ([]byte, uint32) {
	for i := range s.serving {
		b := &s.serving[i]
		if b.state.Digest() != header {
			continue
		}
		if b.data == nil {
			b.data = b.encode()
		}
		count := (len(b.data) + gossip.MaxStatePartSize - 1) / gossip.MaxStatePartSize
		if int64(part) >= int64(count) {
			return nil, uint32(count)
		}
		from := int(part) * gossip.MaxStatePartSize
		return b.data[from:min(from+gossip.MaxStatePartSize, len(b.data))], uint32(count)
	}
	return nil, 0
}

// serve puts a bundle before the others that may be fetched. data is its encoding, if
// at hand.
func (m *Machine) serve(b *bundle, data []byte) {
	m.serving = append([]served{{b, data}}, m.serving[:min(len(m.serving), servedStates-1)]...)
}
