// SPDX-License-Identifier: BSD-3-Clause

package node

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"chive/internal/testutil"
)

// TestAHeartbeatEverySixHours, in rounded totals. Spec: product REL-11.
func TestAHeartbeatEverySixHours(t *testing.T) {
	testutil.Bubble(t, func(t *testing.T) {
		var out bytes.Buffer
		ctx, stop := context.WithTimeout(t.Context(), 25*time.Hour)
		defer stop()
		heartbeat(ctx, zerolog.New(&out), func() pulse {
			return pulse{circuits: 1234, created: 98765, refused: 7, bytesIn: 123456 << 20, bytesOut: 5 << 20, listed: true, running: true}
		})
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		if len(lines) != 4 {
			t.Fatalf("%d lines in 25 hours:\n%s", len(lines), out.String())
		}
		for _, want := range []string{
			`"level":"info"`, `"role":"relay"`, `"event":"heartbeat"`, `"hours":24`, `"listed":1`, `"circuits_open":1200`, `"circuits":99000`, `"refused":7`,
			`"mib_in":120000`, `"mib_out":5`,
		} {
			if !strings.Contains(lines[3], want) {
				t.Errorf("%s is missing in %s", want, lines[3])
			}
		}
	})
}
