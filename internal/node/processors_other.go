// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package node

import "time"

// processorTime is not known here.
func processorTime() (time.Duration, bool) { return 0, false }
