// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
)

// Protocols of a port range: the numbers of IP.
const (
	TCP byte = 6
	UDP byte = 17
)

// MaxPolicyCount is the largest number of ranges in an exit policy summary, and
// PortRangeSize the bytes of one.
const (
	MaxPolicyCount = 40
	PortRangeSize  = 5
)

// ErrPolicy means an exit policy summary that is too long or not in its one form.
var ErrPolicy = errors.New("record: bad exit policy summary")

// PortRange permits the ports First to Last, both included, of one protocol.
type PortRange struct {
	Protocol    byte // TCP or UDP
	First, Last uint16
}

// Contains reports whether the range holds this port of this protocol.
func (r PortRange) Contains(protocol byte, port uint16) bool {
	return r.Protocol == protocol && r.First <= port && port <= r.Last
}

// Permits reports whether an exit policy summary permits a port.
func Permits(policy []PortRange, protocol byte, port uint16) bool {
	for _, r := range policy {
		if r.Contains(protocol, port) {
			return true
		}
	}
	return false
}

func comparePortRanges(a, b PortRange) int {
	return cmp.Or(cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First))
}

// CheckPolicy refuses a summary that is not in its one form: at most
// MaxPolicyCount ranges, known protocols, no port 0, sorted by protocol and first
// port, ranges neither overlapping nor touching. Empty is valid. Error: ErrPolicy.
func CheckPolicy(policy []PortRange) error {
	if len(policy) > MaxPolicyCount {
		return ErrPolicy
	}
	for i, r := range policy {
		if (r.Protocol != TCP && r.Protocol != UDP) || r.First == 0 || r.Last < r.First {
			return ErrPolicy
		}
		if i == 0 {
			continue
		}
		last := policy[i-1]
		if comparePortRanges(last, r) >= 0 {
			return ErrPolicy
		}
		if last.Protocol == r.Protocol && int(r.First) <= int(last.Last)+1 {
			return ErrPolicy
		}
	}
	return nil
}

// Summarise brings any ranges into the form of a summary. When more than
// MaxPolicyCount are left the widest stay; dropped are those that clients will
// not see, widest first. Ranges of unknown protocols, of port 0 alone or with
// Last below First permit nothing and vanish. The argument is not changed.
func Summarise(ranges []PortRange) (kept, dropped []PortRange) {
	sorted := make([]PortRange, 0, len(ranges))
	for _, r := range ranges {
		r.First = max(r.First, 1)
		if (r.Protocol == TCP || r.Protocol == UDP) && r.First <= r.Last {
			sorted = append(sorted, r)
		}
	}
	slices.SortFunc(sorted, comparePortRanges)
	for _, r := range sorted {
		if n := len(kept); n > 0 && kept[n-1].Protocol == r.Protocol && int(r.First) <= int(kept[n-1].Last)+1 {
			kept[n-1].Last = max(kept[n-1].Last, r.Last)
			continue
		}
		kept = append(kept, r)
	}
	if len(kept) <= MaxPolicyCount {
		return kept, nil
	}
	slices.SortStableFunc(kept, func(a, b PortRange) int {
		return cmp.Compare(b.Last-b.First, a.Last-a.First)
	})
	dropped = slices.Clone(kept[MaxPolicyCount:])
	kept = kept[:MaxPolicyCount:MaxPolicyCount]
	slices.SortFunc(kept, comparePortRanges)
	return kept, dropped
}

// EncodePolicy returns a summary's bytes: protocol 1, first port 2, last port 2
// for each range.
func EncodePolicy(policy []PortRange) []byte {
	out := make([]byte, 0, len(policy)*PortRangeSize)
	for _, r := range policy {
		out = append(out, r.Protocol)
		out = binary.BigEndian.AppendUint16(out, r.First)
		out = binary.BigEndian.AppendUint16(out, r.Last)
	}
	return out
}

// DecodePolicy reads what EncodePolicy wrote and checks it. Error: ErrPolicy.
func DecodePolicy(data []byte) ([]PortRange, error) {
	if len(data)%PortRangeSize != 0 || len(data) > MaxPolicyCount*PortRangeSize {
		return nil, ErrPolicy
	}
	var policy []PortRange
	for ; len(data) > 0; data = data[PortRangeSize:] {
		policy = append(policy, PortRange{
			Protocol: data[0],
			First:    binary.BigEndian.Uint16(data[1:]),
			Last:     binary.BigEndian.Uint16(data[3:]),
		})
	}
	return policy, CheckPolicy(policy)
}
