// SPDX-License-Identifier: BSD-3-Clause

package redact

import (
	"bytes"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestLevelAndFormChangeWhileRunning, for loggers that were made before, and debug stays
// out of a network that is no testnet.
func TestLevelAndFormChangeWhileRunning(t *testing.T) {
	for _, testnet := range []bool{false, true} {
		var out bytes.Buffer
		s := NewSwitch(&out, false)
		s.Set(zerolog.WarnLevel, false)
		log := NewLogger(Options{Writer: s, Testnet: testnet})
		say := func() string {
			out.Reset()
			log.Debug().EmbedObject(RoleNode).Msg("d")
			log.Info().EmbedObject(RoleNode).Msg("i")
			log.Warn().EmbedObject(RoleNode).Msg("w")
			return out.String()
		}
		if got := say(); strings.Count(got, "\n") != 1 || !strings.Contains(got, `"message":"w"`) {
			t.Errorf("warn: %q", got)
		}
		log = NewLogger(Options{Writer: s, Testnet: testnet}) // a minute has a line of a kind
		s.Set(zerolog.DebugLevel, true)
		want := 2
		if testnet {
			want = 3
		}
		if got := say(); strings.Count(got, "\n") != want || strings.Contains(got, "{") {
			t.Errorf("testnet %v, debug for a person: %q", testnet, got)
		}
		s.Set(zerolog.ErrorLevel, false)
		if got := say(); got != "" {
			t.Errorf("error: %q", got)
		}
	}
}
