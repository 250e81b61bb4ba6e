// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package link

const raceEnabled = false
