// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"strings"
	"testing"

	"chive/directory/genesis"
	"chive/internal/config"
)

// TestProfilesAreForTestnets: where the configuration says so, it is said at start, and in
// no other network whatever it says. Spec: product API-1; security LOG-4.
func TestProfilesAreForTestnets(t *testing.T) {
	for _, c := range []struct{ said, testnet, want bool }{
		{false, false, false}, {false, true, false}, {true, false, false}, {true, true, true},
	} {
		cfg := config.Default()
		cfg.Debug = c.said
		shown := NewEffect(cfg, nil).debugs(c.testnet)
		s := &Sources{Document: &genesis.Document{Testnet: c.testnet}, Debug: c.said}
		if shown != c.want || s.Profiles() != c.want {
			t.Errorf("%+v: %v, %v", c, shown, s.Profiles())
		}
		var out bytes.Buffer
		log, err := Log{Writer: &out}.Logger(c.testnet)
		if err != nil {
			t.Fatal(err)
		}
		if sayDebug(&log, shown); strings.Contains(out.String(), "shows profiles") != c.want {
			t.Errorf("%+v: %q", c, out.String())
		}
	}
	if (*Effect)(nil).debugs(true) {
		t.Error("without a configuration")
	}
}
