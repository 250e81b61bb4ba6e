// SPDX-License-Identifier: BSD-3-Clause

//go:build !unix

package model

import "time"

// processorTime is real time here: the loop has one goroutine.
func processorTime() time.Duration { return time.Duration(time.Now().UnixNano()) }
