// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package testnet

import "time"

// cpuTime is not measured on this system.
func cpuTime() time.Duration { return 0 }
