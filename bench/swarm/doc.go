// SPDX-License-Identifier: BSD-3-Clause

// Package swarm makes circuits by the thousand: it speaks links and circuits as a
// client does, without a client's choice of paths, its retries and its proxies. One
// process keeps ten thousand circuits through relays that run elsewhere, so that
// the relays' memory and processor time can be told apart from the load's.
//
// It is no client: it trusts the genesis document that it is given and takes the
// paths that it is told. Its methods are safe for concurrent use.
//
// Spec: protocol §1, §4, §5
package swarm
