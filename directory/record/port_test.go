// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

// Spec: DIR-4.
func TestPolicyFormIsChecked(t *testing.T) {
	for _, test := range []struct {
		name   string
		policy []PortRange
		ok     bool
	}{
		{"empty", nil, true},
		{"web", web(), true},
		{"as many as fit", fullPolicy(), true},
		{"one more", append(fullPolicy(), PortRange{UDP, 1, 1}), false},
		{"all ports", []PortRange{{TCP, 1, 65535}, {UDP, 1, 65535}}, true},
		{"port 0", []PortRange{{TCP, 0, 10}}, false},
		{"backwards", []PortRange{{TCP, 10, 9}}, false},
		{"unknown protocol", []PortRange{{1, 10, 11}}, false},
		{"unsorted ports", []PortRange{{TCP, 443, 443}, {TCP, 80, 80}}, false},
		{"unsorted protocols", []PortRange{{UDP, 1, 1}, {TCP, 1, 1}}, false},
		{"twice", []PortRange{{TCP, 80, 80}, {TCP, 80, 80}}, false},
		{"overlapping", []PortRange{{TCP, 80, 90}, {TCP, 85, 95}}, false},
		{"touching", []PortRange{{TCP, 80, 90}, {TCP, 91, 95}}, false},
		{"touching at the end", []PortRange{{TCP, 80, 65535}, {TCP, 81, 81}}, false},
		{"one apart", []PortRange{{TCP, 80, 90}, {TCP, 92, 95}}, true},
	} {
		err := CheckPolicy(test.policy)
		if (err == nil) != test.ok || (err != nil && !errors.Is(err, ErrPolicy)) {
			t.Errorf("%s: %v", test.name, err)
		}
		back, err := DecodePolicy(EncodePolicy(test.policy))
		if (err == nil) != test.ok {
			t.Errorf("%s, decoded: %v", test.name, err)
		}
		if test.ok && !reflect.DeepEqual(back, test.policy) {
			t.Errorf("%s became %v", test.name, back)
		}
	}
	b := EncodePolicy(web())
	for n := range b {
		if n%PortRangeSize == 0 {
			continue
		}
		if _, err := DecodePolicy(b[:n]); !errors.Is(err, ErrPolicy) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

func TestSummariseKeepsTheWidest(t *testing.T) {
	var in []PortRange
	for i := range uint16(60) { // widths 1 to 60, narrow first
		in = append(in, PortRange{TCP, 100 + 100*i, 100 + 100*i + i})
	}
	kept, dropped := Summarise(in)
	if len(kept) != MaxPolicyCount || len(dropped) != 20 {
		t.Fatalf("%d kept, %d dropped", len(kept), len(dropped))
	}
	if err := CheckPolicy(kept); err != nil {
		t.Error(err)
	}
	if kept[0] != in[20] || dropped[0] != in[19] || dropped[19] != in[0] {
		t.Errorf("kept from %v, dropped from %v to %v", kept[0], dropped[0], dropped[19])
	}
}

func TestSummarisePermitsExactlyWhatItWasGiven(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) PortRange {
			first := rapid.Uint16Range(0, 300).Draw(t, "first")
			return PortRange{
				Protocol: rapid.SampledFrom([]byte{TCP, UDP, 1}).Draw(t, "protocol"),
				First:    first, Last: first + rapid.Uint16Range(0, 20).Draw(t, "width"),
			}
		}), 0, 30).Draw(t, "ranges")
		kept, dropped := Summarise(in)
		if err := CheckPolicy(kept); err != nil {
			t.Fatal(err)
		}
		for _, protocol := range []byte{TCP, UDP, 1} {
			for port := range uint16(340) {
				want := port > 0 && protocol != 1 && Permits(in, protocol, port)
				if got := Permits(kept, protocol, port) || Permits(dropped, protocol, port); got != want {
					t.Fatalf("protocol %d, port %d: %v", protocol, port, got)
				}
			}
		}
	})
}
