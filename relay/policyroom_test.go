// SPDX-License-Identifier: BSD-3-Clause

package relay

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"chive/directory/record"
	"chive/directory/snapshot"
)

// TestAFullDictionaryOfPoliciesIsToldToTheExit, once, and to nobody else.
// Spec: TRN-2.
func TestAFullDictionaryOfPoliciesIsToldToTheExit(t *testing.T) {
	policy := func(n int) []record.PortRange {
		return []record.PortRange{{Protocol: record.TCP, First: uint16(n), Last: uint16(n)}}
	}
	dict := &snapshot.Dictionaries{Groups: []snapshot.Group{"group"}}
	for n := range snapshot.MaxPolicyCount {
		dict.Policies = append(dict.Policies, policy(n+1))
	}
	leaves := []snapshot.Leaf{{RID: record.RID{1}, IPv4: netip.MustParseAddrPort("20.0.0.1:9")}}
	table := func() *snapshot.Table {
		out, err := snapshot.NewTable(leaves, dict)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	full := table()
	exit := &record.Descriptor{Policy: policy(1000)}
	for name, is := range map[string][2]bool{
		"an exit without a place": {noRoomForExit(exit, full, record.RID{1}), true},
		"no exit":                 {noRoomForExit(&record.Descriptor{}, full, record.RID{1}), false},
		"no descriptor":           {noRoomForExit(nil, full, record.RID{1}), false},
		"not on the list":         {noRoomForExit(exit, full, record.RID{2}), false},
		"a policy that is there":  {noRoomForExit(&record.Descriptor{Policy: policy(3)}, full, record.RID{1}), false},
	} {
		if is[0] != is[1] {
			t.Errorf("%s: %v", name, is[0])
		}
	}
	dict.Policies = dict.Policies[:snapshot.MaxPolicyCount-1]
	if noRoomForExit(exit, table(), record.RID{1}) {
		t.Error("there is room")
	}
	var out bytes.Buffer
	log := zerolog.New(&out)
	var s standing
	s.say(&log, standing{noRoom: true})
	s.say(&log, standing{noRoom: true})
	if got := strings.Count(out.String(), "no room for your exit policy"); got != 1 {
		t.Errorf("%d lines", got)
	}
}
