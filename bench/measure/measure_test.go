// SPDX-License-Identifier: BSD-3-Clause

package measure

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestStatIsRead(t *testing.T) {
	const rest = " S 1 2 3 4 5 6 7 8 9 10 %s 0 0 20 0 1 0 12345 1 2 3"
	stat := func(name, times string) string { return "42 (" + name + ")" + strings.Replace(rest, "%s", times, 1) }
	for _, test := range []struct {
		name, text string
		want       time.Duration
		bad        bool
	}{
		{"plain", stat("tor", "150 50"), 2 * time.Second, false},
		{"name with blanks and brackets", stat("a) b (c", "1 2"), 30 * time.Millisecond, false},
		{"empty", "", 0, true},
		{"cut", "42 (tor) S 1 2", 0, true},
		{"no number", stat("tor", "x 50"), 0, true},
		{"negative", stat("tor", "-1 50"), 0, true},
		{"beyond any time", stat("tor", "999999999999999999 1"), 0, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseStat([]byte(test.text))
			if got != test.want || (err != nil) != test.bad {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestStatusIsRead(t *testing.T) {
	good := "Name:\ttor\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\nThreads:\t3\n"
	m, err := ParseStatus([]byte(good))
	if err != nil || m != (Memory{Resident: 1 << 20, Peak: 2 << 20}) {
		t.Errorf("got %+v, %v", m, err)
	}
	for _, bad := range []string{"", "VmRSS: 1 kB\n", strings.Replace(good, "kB", "MB", -1), strings.Replace(good, "1024", "-3", 1)} {
		if _, err := ParseStatus([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestLoadAndModelAreRead(t *testing.T) {
	if v, err := ParseLoad([]byte("0.26 2.28 5.26 1/95 11520\n")); err != nil || v != 0.26 {
		t.Errorf("load %v, %v", v, err)
	}
	for _, bad := range []string{"", "x y", "-1 0"} {
		if _, err := ParseLoad([]byte(bad)); err == nil {
			t.Errorf("load %q was read", bad)
		}
	}
	if got := ParseModel([]byte("processor\t: 0\nmodel name\t: Fast: One\nmodel name\t: Two\n")); got != "Fast: One" {
		t.Errorf("model %q", got)
	}
	if got := ParseModel(nil); got != "" {
		t.Errorf("model %q of nothing", got)
	}
}

func TestSocketLinkIsRead(t *testing.T) {
	for text, want := range map[string]uint32{"socket:[77]": 77, "socket:[4294967295]": 1<<32 - 1} {
		if got, ok := parseSocketLink(text); !ok || got != want {
			t.Errorf("%q: %d, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "pipe:[77]", "socket:[]", "socket:[x]", "socket:[77", "socket:[4294967296]"} {
		if _, ok := parseSocketLink(text); ok {
			t.Errorf("%q was read", text)
		}
	}
}

// answer is one message of the kernel's about a connection.
func answer(inode uint32, acked, received uint64, info bool) []byte {
	e := binary.NativeEndian
	b := make([]byte, netlinkHeader+diagMessage)
	b[16], b[17] = familyIPv4, 1
	binary.BigEndian.PutUint16(b[20:], 1000)
	binary.BigEndian.PutUint16(b[22:], 2000)
	copy(b[24:], []byte{127, 0, 0, 1})
	copy(b[40:], []byte{127, 0, 0, 2})
	e.PutUint32(b[84:], inode)
	// An attribute of another kind, of a size that needs padding.
	b = append(b, 5, 0, 9, 0, 1, 0, 0, 0)
	if info {
		attribute := make([]byte, 4+infoAcked+16)
		e.PutUint16(attribute, uint16(len(attribute)))
		e.PutUint16(attribute[2:], diagInfo)
		e.PutUint64(attribute[4+infoAcked:], acked)
		e.PutUint64(attribute[4+infoAcked+8:], received)
		b = append(b, attribute...)
	}
	e.PutUint32(b, uint32(len(b)))
	e.PutUint16(b[4:], byFamily)
	return b
}

func done() []byte {
	b := make([]byte, netlinkHeader+4)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], netlinkDone)
	return b
}

func TestKernelAnswersAreRead(t *testing.T) {
	data := append(answer(7, 100, 200, true), answer(8, 0, 0, false)...)
	got, over, err := parseDiag(data)
	if err != nil || over || len(got) != 2 {
		t.Fatalf("got %+v, %v, %v", got, over, err)
	}
	want := Socket{
		Local: netip.MustParseAddrPort("127.0.0.1:1000"), Remote: netip.MustParseAddrPort("127.0.0.2:2000"),
		Sent: 100, Received: 200, inode: 7, state: 1,
	}
	if got[0] != want || got[1].inode != 8 || got[1].Sent != 0 {
		t.Errorf("got %+v", got)
	}
	if got, over, err = parseDiag(append(data, done()...)); err != nil || !over || len(got) != 2 {
		t.Errorf("with the end: %+v, %v, %v", got, over, err)
	}
	for cut := 1; cut < len(data); cut++ {
		got, _, err := parseDiag(data[:cut])
		if err == nil && len(got) > 1 {
			t.Errorf("cut at %d: %d sockets", cut, len(got))
		}
	}
	fault := done()
	binary.NativeEndian.PutUint16(fault[4:], netlinkError)
	if _, _, err := parseDiag(fault); err == nil {
		t.Error("the kernel's refusal was taken for an answer")
	}
}

func FuzzParseDiag(f *testing.F) {
	f.Add(append(answer(7, 100, 200, true), done()...))
	f.Add(answer(8, 0, 0, false))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, _, _ := parseDiag(data)
		if len(got) > len(data)/netlinkHeader {
			t.Errorf("%d sockets in %d bytes", len(got), len(data))
		}
	})
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("42 (tor) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if d, err := ParseStat(data); err == nil && d < 0 {
			t.Errorf("negative time %v", d)
		}
	})
}

func TestCollectionIsRead(t *testing.T) {
	const line = "gc 12 @3.428s 0%: 0.1+2.3+0.02 ms clock, 0.2+1.1/2.2/0+0.04 ms cpu, 19->20->4 MB, 10 MB goal, 3 MB stacks, 0 MB globals, 2 P (forced)"
	if h, ok := ParseCollection(line); !ok || h.Live != 4<<20 || h.Stacks != 3<<20 {
		t.Errorf("%+v, %v", h, ok)
	}
	for _, bad := range []string{
		"", "gc", "gc 1 @", "scvg: 1->2->3 MB, 4 MB stacks", "gc 1 @1s 0%: 1 ms cpu, 1->2->x MB",
		"gc 1 @1s 0%: 1 ms cpu, 1->2->-3 MB", "gc 1 @1s 0%: 1 ms cpu, 1->2->99999999999 MB", `{"schema":"chive.relay/1"}`,
	} {
		if h, ok := ParseCollection(bad); ok {
			t.Errorf("%q was read as %+v", bad, h)
		}
	}
}
