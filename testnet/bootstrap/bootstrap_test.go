// SPDX-License-Identifier: BSD-3-Clause

package bootstrap

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"chive/testnet/scenario"
)

// run runs a scenario's short form.
func run(t *testing.T, name string) *scenario.Result {
	t.Helper()
	for _, s := range Scenarios() {
		if s.Name != name {
			continue
		}
		res, err := s.Run(t.Context(), scenario.Options{Short: true}, func(line string) { t.Log(line) })
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	t.Fatal("no such scenario")
	return nil
}

// No client of the short form takes a forged list, or a stale one for fresh, and each
// comes to a fresh one. Spec: directory §14 (G7).
func TestHostileFirstPeersNeitherMisleadNorStopClients(t *testing.T) {
	res := run(t, "bootstrap")
	for _, r := range res.Rows {
		// A dozen clients have no median to speak of.
		if r.Verdict == scenario.Missed && !strings.Contains(r.Metric, "median") {
			t.Errorf("%s: %v, goal %s", r.Metric, r.Value, r.Goal)
		}
	}
	if len(res.Rows) < 60 || res.TraceHash == "" {
		t.Errorf("%d rows", len(res.Rows))
	}
}

// Spec: directory §13 (I10).
func TestEqualSeedsGiveEqualFigures(t *testing.T) {
	a, b := run(t, "join"), run(t, "join")
	if a.TraceHash != b.TraceHash || fmt.Sprint(a.Rows) != fmt.Sprint(b.Rows) {
		t.Error("two runs differ")
	}
	for _, r := range a.Rows {
		maybe := strings.Contains(r.Metric, "hand-over") || strings.Contains(r.Metric, "PROOF") // not in every run
		if r.Value < 0 || r.Value == 0 && !maybe {
			t.Errorf("%s: %v", r.Metric, r.Value)
		}
	}
}

func TestOptionsOutOfBoundsAreRefused(t *testing.T) {
	for _, s := range Scenarios() {
		for _, relays := range []int{1, 99, 20000} {
			if _, err := s.Run(t.Context(), scenario.Options{Relays: relays}, func(string) {}); !errors.Is(err, scenario.ErrOption) {
				t.Errorf("%s, %d relays: %v", s.Name, relays, err)
			}
		}
	}
}

// The client's rules are written here once more; where its numbers change, these must.
func TestNumbersAreTheClients(t *testing.T) {
	for file, want := range map[string][]string{
		"fetch.go": {fmt.Sprintf(`voices = %d`, voices), fmt.Sprintf(`maxSources = %d`, maxSources)},
		"clock.go": {fmt.Sprintf(`clockVoices = %d`, voices)},
	} {
		text, err := os.ReadFile(filepath.Join("..", "..", "client", file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range want {
			if !regexp.MustCompile(`\b` + line + `\b`).Match(text) {
				t.Errorf("client/%s does not say %q", file, line)
			}
		}
	}
}
