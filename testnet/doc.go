// SPDX-License-Identifier: BSD-3-Clause

// Package testnet builds, starts and stops a whole network made of the production
// roles: a genesis document, relays, clients, and a small web server as a target.
//
// It contains no stand-ins: a testnet's relay is relay.Relay, its client
// client.Client, with every defence on. What differs is where they run: a Fabric
// gives each node its place, on loopback or in memory. In memory the whole network
// runs in virtual time.
//
// Start returns when a page was fetched through the first client; Close ends every
// goroutine and removes every file.
//
// Spec: testnet §1 of the design; product CLI-8.
package testnet
