// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"
)

// TestARateThatMayBeBitsOrBytesIsExplained, with what each would be.
func TestARateThatMayBeBitsOrBytesIsExplained(t *testing.T) {
	const want = `A byte is 8 bits: write "1 Mbit/s" if bits are meant, as providers count (that is 122 KiB/s), or "1 MiB/s" if bytes are (8.39 Mbit/s).`
	for _, text := range []string{"1 Mb/s", "1Mbps", "1 mb/s", "1 Mb", "1 MBps", "1 mbit"} {
		if got := RateHint(text); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	if got := RateHint("2.5 Gb/s"); !strings.Contains(got, `"2.5 Gbit/s"`) || !strings.Contains(got, "298 MiB/s") {
		t.Error(got)
	}
	for _, text := range []string{"", "1", "Mb/s", "2 furlongs/s", "1 b/s", "-1 Mb/s", "x Mb/s", "1 Tb/s", "1e99 Mb/s"} {
		if got := RateHint(text); got != "" {
			t.Errorf("%s: %s", text, got)
		}
	}
}
