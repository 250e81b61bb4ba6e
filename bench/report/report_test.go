// SPDX-License-Identifier: BSD-3-Clause

package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// sample is a report of two systems of Tor's and chive, with gaps.
func sample() *Report {
	r := &Report{
		Schema: Schema, Began: time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC), Seconds: 12,
		Machine: Machine{Processor: "Model <1> & co", Processors: 2, System: "linux/amd64", Kernel: "6.1", Go: "go1.26", Load: 0.04},
		Sizes:   Sizes{Runs: 3, BulkBytes: 200e6},
		Limits:  []Limit{{"one direct download, without relays", 2667.4, "MB/s"}},
		Systems: []System{
			{Name: "tor live", Version: "tor 0.4.9", About: "defaults", Runs: []Run{
				{Values: map[string]float64{Down: 8.7, CPU: 31, Idle: 3, Settled: 4.3}},
				{Values: map[string]float64{Down: 8.1, CPU: 32, Idle: 3.2}},
				{Values: map[string]float64{Down: 9.0, CPU: 30, Idle: 2.9}, Notes: []string{"circuits: refused"}},
			}},
			{Name: "tor tuned", Version: "tor 0.4.9", About: "fast", Runs: []Run{
				{Processor: 3000, Values: map[string]float64{Down: 95, CPU: 17.9, Idle: 0.9}},
			}},
			{Name: "chive", Chive: true, Version: "chive 1", About: "testnet", Runs: []Run{
				{Processor: 5000, Values: map[string]float64{Down: 300, CPU: 5, Idle: 0.5, Settled: 9}},
			}},
		},
	}
	r.Summarize()
	return r
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, bytes.ReplaceAll(want, []byte("\r\n"), []byte("\n"))) {
		t.Errorf("%s differs; after a look, rewrite it with -update. Got:\n%s", path, got)
	}
}

func TestTableMatchesGolden(t *testing.T) { golden(t, "table.md", []byte(sample().Table())) }

func TestChartMatchesGolden(t *testing.T) { golden(t, "chart.svg", sample().SVG()) }

func TestChartIsXML(t *testing.T) {
	d := xml.NewDecoder(bytes.NewReader(sample().SVG()))
	for {
		_, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestJSONKeepsEveryRun(t *testing.T) {
	data, err := sample().JSON()
	if err != nil {
		t.Fatal(err)
	}
	var back Report
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if back.Schema != Schema || len(back.Systems) != 3 || len(back.Systems[0].Runs) != 3 {
		t.Fatalf("lost: %+v", back)
	}
	if got := back.Systems[0].Figures[Down]; got != (Summary{8.7, 8.1, 9, 3}) {
		t.Errorf("summary is %+v", got)
	}
}

func TestReportOfNothingIsWritten(t *testing.T) {
	for _, r := range []*Report{{}, {Systems: []System{{Name: "tor live"}}}, {Systems: []System{{Name: "chive", Chive: true}}}} {
		r.Summarize()
		if !strings.Contains(r.Table(), "| figure") || !bytes.HasSuffix(r.SVG(), []byte("</svg>\n")) {
			t.Error("an empty report cannot be shown")
		}
		if len(r.Systems) > 0 && r.Missing() != r.Systems[0].Name {
			t.Error("nothing is missing in an empty report")
		}
	}
}

func TestVerdictIsAgainstTheBestOfTor(t *testing.T) {
	r := sample()
	chive, others := r.split()
	for _, test := range []struct {
		id   string
		want string
	}{
		{Down, "met"},    // 3.2 times the better one's
		{CPU, "met"},     // a third or less
		{Idle, "missed"}, // 1.8 times as good as the better one, six times as good as the other
		{Settled, "met"}, // at most 10
		{Up, ""},         // not measured
		{Loaded, ""},     // no goal
	} {
		for _, f := range Figures() {
			if f.ID == test.id {
				if got := verdict(f, chive, others); got != test.want {
					t.Errorf("%s: %q, want %q", f.ID, got, test.want)
				}
			}
		}
	}
	if verdict(Figures()[0], nil, others) != "" {
		t.Error("there is a verdict without chive")
	}
}

func TestFiguresHaveNamesOfTheirOwn(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range Figures() {
		if f.ID == "" || f.Title == "" || f.Unit == "" || seen[f.ID] || seen[f.Title] {
			t.Errorf("figure %+v", f)
		}
		seen[f.ID], seen[f.Title] = true, true
	}
}
