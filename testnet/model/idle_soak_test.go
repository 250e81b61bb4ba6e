// SPDX-License-Identifier: BSD-3-Clause

//go:build soak && linux

package model

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	roles "chive/internal/node"
	"chive/testnet/scenario"
)

// TestMain makes this program a relay where it is called as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "relay" && os.Args[2] == "run" {
		f := flag.NewFlagSet("relay", flag.ExitOnError)
		state, genesis, listen := f.String("state", "", ""), f.String("genesis", "", ""), f.String("listen", "", "")
		f.String("nat", "", "")
		_ = f.Parse(os.Args[3:])
		err := roles.RunRelay(context.Background(), roles.RelayOptions{
			State: *state, Genesis: *genesis, Listen: *listen, Control: roles.ControlSocket{Path: filepath.Join(*state, "control.sock")},
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Real processes follow a network of machines and keep to its newest list; what they take
// of a core is not judged here, in epochs of ten seconds.
func TestRealProcessesFollowALiveWorld(t *testing.T) {
	res, err := idleExperiment().all(context.Background(), scenario.Options{Short: true}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range res.Rows {
		switch {
		case strings.HasSuffix(r.Metric, "epochs behind at the end") && r.Value != 0:
			t.Errorf("%s: %v", r.Metric, r.Value)
		case strings.HasSuffix(r.Metric, "neighbours at the end") && r.Value < 8:
			t.Errorf("%s: %v", r.Metric, r.Value)
		case r.Metric == "finals in this time" && r.Value < 1:
			t.Error("no final")
		}
	}
}
