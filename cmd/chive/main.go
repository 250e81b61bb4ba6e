// SPDX-License-Identifier: BSD-3-Clause

// Command chive is the only binary: client, relay and testnet, told apart by its
// first words. It reads flags and signals, and prints what internal/node and
// testnet return; it decides nothing else.
//
// Data goes to standard output, progress, logs and errors to standard error.
//
// Spec: product §2.
package main

import (
	"os"

	"chive/internal/config"
)

func main() {
	a := &app{out: os.Stdout, err: os.Stderr, env: config.ReadEnvironment()}
	os.Exit(a.run(os.Args[1:]))
}
