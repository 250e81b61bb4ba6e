// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package main

// raceOn: see race_on_test.go.
const raceOn = false
