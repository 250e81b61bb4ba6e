// SPDX-License-Identifier: BSD-3-Clause

// Package chivelab runs a chive testnet of real processes on loopback: five
// founders that run as relays, one of them the only exit, and clients. It drives
// the binary the way operators do and imports nothing of the module, so what is
// measured is what is shipped.
package chivelab
