// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package testnet

import (
	"os"
	"testing"
)

// TestMain runs the tests as they are: only Linux has network namespaces.
func TestMain(m *testing.M) {
	if url := os.Getenv(fetchKey); url != "" {
		os.Exit(fetchAsProgram(url))
	}
	if spec := os.Getenv(relayKey); spec != "" {
		os.Exit(runAsRelay(spec))
	}
	os.Exit(m.Run())
}

// lookout counts what tries to leave this host: nothing is seen on this system.
type lookout struct{}

func newLookout(*testing.T) *lookout { return nil }

func (*lookout) seen(*testing.T) (attempts, probes int64) { return 0, 0 }
