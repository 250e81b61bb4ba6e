// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chive/internal/node"
	"chive/testnet/scenario"
)

func TestARunSaysNoWhenAGoalIsMissedOrAnInvariantBroken(t *testing.T) {
	met := &scenario.Result{Seeds: []uint64{1}, TraceHash: "ab", Rows: []scenario.Row{scenario.AtMost("delay", "s", []float64{1}, 2)}}
	missed := &scenario.Result{Seeds: []uint64{1, 2, 3}, Rows: []scenario.Row{scenario.AtMost("delay", "s", []float64{1, 2, 3}, 2)}}
	breach := &scenario.Breach{Invariant: "I3", Text: "two finals", Seed: 9, At: time.Minute, Replay: "chive testnet run x --seed 9"}
	over, cancel := context.WithCancel(context.Background())
	cancel()
	for name, c := range map[string]struct {
		ctx      context.Context
		res      *scenario.Result
		err      error
		kind     node.Kind // 0: none
		out, fix string
	}{
		"met":                    {context.Background(), met, nil, 0, "met", ""},
		"missed":                 {context.Background(), missed, nil, node.Denied, "missed", ""},
		"broken at once":         {context.Background(), nil, breach, node.Denied, "", "--seed 9"},
		"broken later":           {context.Background(), met, breach, node.Denied, "met", "--seed 9"},
		"too few relays":         {context.Background(), nil, scenario.ErrOption, node.Usage, "", ""},
		"interrupted at once":    {over, nil, context.Canceled, 0, "", ""},
		"interrupted in between": {over, met, context.Canceled, 0, "Interrupted", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			a := &app{out: &out, err: &errs}
			s := scenario.Scenario{Name: "x", Run: func(context.Context, scenario.Options, func(string)) (*scenario.Result, error) {
				return c.res, c.err
			}}
			folder := filepath.Join(t.TempDir(), "out")
			err := a.runScenario(c.ctx, s, scenario.Options{}, folder)
			var f *node.Fault
			if errors.As(err, &f) != (c.kind != 0) || f != nil && (f.Kind != c.kind || !strings.Contains(f.Fix, c.fix)) {
				t.Fatalf("%v", err)
			}
			if !strings.Contains(out.String(), c.out) {
				t.Errorf("%q", out.String())
			}
			data, err := os.ReadFile(filepath.Join(folder, "summary.json"))
			if (err == nil) != (out.Len() > 0) {
				t.Error("the folder has another result than the table")
			}
			var o runObject
			if err == nil && (json.Unmarshal(data, &o) != nil || o.Met != (c.kind == 0)) {
				t.Errorf("%s", data)
			}
		})
	}
}

func TestScenariosHaveNamesOfTheirOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		if seen[s.Name] || s.Name == "" || s.Text == "" || s.Run == nil {
			t.Errorf("%q", s.Name)
		}
		seen[s.Name] = true
	}
}
