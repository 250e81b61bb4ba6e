// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"chive/bench/lab"
	"chive/bench/measure"
	"chive/bench/report"
)

func TestCommandLineIsChecked(t *testing.T) {
	o, err := parse([]string{"--runs", "5", "--only", "tor", "--tor-mode", "tuned", "--out", "x"}, io.Discard)
	if err != nil || o.runs != 5 || o.only != "tor" || o.torMode != "tuned" || o.out != "x" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"--quick"}, io.Discard); err != nil || o.runs != 1 || o.torMode != "tuned" {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse([]string{"--scale"}, io.Discard); err != nil || !o.scale {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parse(nil, io.Discard); err != nil || o.runs != 3 || o.torMode != "both" || o.scale {
		t.Errorf("%+v, %v", o, err)
	}
	if _, err := parse([]string{"--help"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("help: %v", err)
	}
	for _, bad := range [][]string{
		{"extra"}, {"--runs", "0"}, {"--runs", "21"}, {"--runs", "x"}, {"--only", "i2p"}, {"--tor-mode", "fast"}, {"--unknown"},
		{"--quick", "--runs", "7"}, {"--scale", "--only", "tor"}, {"--scale", "--out", "x"}, {"--scale", "--runs", "3"},
	} {
		if _, err := parse(bad, io.Discard); !errors.Is(err, errUsage) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestGuardIsTheRelayThatTheClientTalksTo(t *testing.T) {
	relays := []lab.Relay{{Port: 1}, {Port: 2}, {Port: 3}, {Port: 4, Role: lab.Exit}}
	to := func(port uint16, bytes uint64) measure.Socket {
		return measure.Socket{Remote: netip.AddrPortFrom(netip.Addr{}, port), Received: bytes / 2, Sent: bytes - bytes/2}
	}
	roles := guess(relays, []measure.Socket{to(1, 10), to(2, 7), to(2, 8), to(4, 1000), to(99, 5000)})
	want := []lab.Role{lab.Middle, lab.Guard, lab.Middle, lab.Exit}
	for i := range want {
		if roles[i] != want[i] {
			t.Errorf("relay %d is %s, want %s", i, roles[i], want[i])
		}
	}
	sums := byRole([]float64{1, 2, 4, 8}, roles)
	if sums[lab.Guard] != 2 || sums[lab.Middle] != 5 || sums[lab.Exit] != 8 {
		t.Errorf("sums are %v", sums)
	}
	if sums := byRole([]float64{1, 2}, []lab.Role{"", lab.Exit}); len(sums) != 1 {
		t.Errorf("a relay of unknown role was counted: %v", sums)
	}
}

func TestProcessorTimeIsPerGigabyte(t *testing.T) {
	before := usage{client: 1, total: 4, relays: []float64{1, 2}}
	after := usage{client: 2, total: 7, relays: []float64{2, 3}}
	got := after.since(before, 0.5)
	if got.client != 2 || got.total != 6 || got.relays[0] != 2 || got.relays[1] != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestGrowthIsTold(t *testing.T) {
	g := growth{
		sizes: quickScale,
		fresh: usedMemory{guard: 10e6, last: 9e6, heap: measure.Heap{Live: 1 << 20}},
		gone:  usedMemory{guard: 11e6, last: 9.5e6},
		rows: []grown{
			{circuits: 10, built: 5, atOnce: usedMemory{guard: 12e6, last: 9e6}, idle: usedMemory{guard: 11e6, last: 9e6}},
			{
				circuits: 1000, built: 250, touches: 999, busy: 0.125, quiet: 0.001, trip: 1500 * time.Microsecond,
				atOnce: usedMemory{guard: 40e6, last: 14e6},
				idle:   usedMemory{guard: 20e6, last: 11e6, heap: measure.Heap{Live: 5 << 20, Stacks: 8 << 20}},
			},
		},
	}
	got := g.table("v")
	for _, want := range []string{
		"v; fresh: guard 10.0 MB, last hop 9.0 MB",
		"| 10 | 5 | 12.0, 11.0 | -, - |", // too few to tell
		"| 1000 | 250 | 40.0, 20.0 | 30.0, 10.0 | 4.2, 8.4 | 10.0, 4.0 | 999, 1.5 ms, 12.5 % | 0.10 % |",
		"all closed, 5 s later: guard 11.0 MB, last hop 9.5 MB",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func TestIperfIsRead(t *testing.T) {
	if v, err := parseIperf([]byte(`{"end":{"sum_received":{"bits_per_second":8e9}}}`)); err != nil || v != 1000 {
		t.Errorf("%v, %v", v, err)
	}
	for _, bad := range []string{"", "{}", `{"error":"x"}`, "[]"} {
		if _, err := parseIperf([]byte(bad)); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
}

func TestEncryptionSpeedIsMeasured(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: takes half a second")
	}
	if v, err := sealSpeed(); err != nil || v <= 0 {
		t.Errorf("%v, %v", v, err)
	}
}

// TestBench runs both networks with small sizes. It needs tor and a machine that
// does nothing else, so it waits to be asked for.
func TestBench(t *testing.T) {
	if os.Getenv("CHIVE_BENCH") != "1" {
		t.Skip("SKIPPED: takes a minute and a quiet machine; run it with CHIVE_BENCH=1")
	}
	if testing.Short() {
		t.Skip("SKIPPED: takes a minute")
	}
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: the bench needs Linux")
	}
	args := []string{"--quick", "--out", t.TempDir()}
	if _, err := exec.LookPath("tor"); err != nil {
		t.Log("SKIPPED IN PART: tor is not installed, so chive alone is measured: apt-get install tor")
		args = append(args, "--only", "chive")
	}
	var out, errs bytes.Buffer
	if err := run(t.Context(), args, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, errs.String(), out.String())
	}
	data, err := os.ReadFile(filepath.Join(args[2], "bench.json"))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(data, &r); err != nil {
		t.Fatal(err)
	}
	if r.Schema != report.Schema || r.Missing() != "" {
		t.Errorf("figures of %q are missing\n%s", r.Missing(), out.String())
	}
	out.Reset()
	if err := run(t.Context(), []string{"--scale", "--quick"}, &out, &errs); err != nil {
		t.Fatalf("%v\n%s%s", err, errs.String(), out.String())
	}
	if strings.Count(out.String(), "\n| ") != 1+len(quickScale.counts) {
		t.Errorf("not every number of circuits was measured\n%s", out.String())
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "chive-bench-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("folders are left: %v, %v", left, err)
	}
}
