// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package transition

const raceOn = false
