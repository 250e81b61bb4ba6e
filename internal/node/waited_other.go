// SPDX-License-Identifier: BSD-3-Clause

//go:build !linux

package node

import "time"

// waitedTime is not known here.
func waitedTime() time.Duration { return 0 }
