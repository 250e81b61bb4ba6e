// SPDX-License-Identifier: BSD-3-Clause

package draws

import (
	"testing"

	"chive/testnet/scenario"
)

// golden are the traces of the short runs: the same on every machine, and other only
// when the rules are.
var golden = map[string]string{
	"agreement": "",
	"flood":     "",
	"weight":    "",
}

// Spec: DRV-5.
func TestShortRunsMeetTheirGoalsAndAreGolden(t *testing.T) {
	for _, s := range Scenarios() {
		t.Run(s.Name, func(t *testing.T) {
			r, err := s.Run(t.Context(), scenario.Options{Short: true}, func(line string) { t.Log(line) })
			if err != nil {
				t.Fatal(err)
			}
			for _, row := range r.Rows {
				t.Logf("%-90s %10s %s %s %s", row.Metric, scenario.Figure(row.Value), row.Unit, row.Goal, row.Verdict)
				if row.Verdict == scenario.Missed {
					t.Errorf("%s: %s %s, goal %s", row.Metric, scenario.Figure(row.Value), row.Unit, row.Goal)
				}
			}
			if r.TraceHash != golden[s.Name] {
				t.Errorf("trace %s, golden %s", r.TraceHash, golden[s.Name])
			}
		})
	}
}
