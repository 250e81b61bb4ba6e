// SPDX-License-Identifier: BSD-3-Clause

// Package load is what both networks are driven with: a server that stands for
// the destination, and a client that reaches it through a SOCKS5 proxy the way
// programs do. It does not know which network is behind the proxy, and speaks to
// loopback only. A Client may be used by several goroutines at once.
package load
