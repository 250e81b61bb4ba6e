// SPDX-License-Identifier: BSD-3-Clause

// Package proxy is the local port that programs use: SOCKS5 with and without
// user and password, SOCKS4 and 4a, HTTP CONNECT and plain-HTTP proxying, told
// apart by the first byte.
//
//	0x04       SOCKS4, SOCKS4a       CONNECT, RESOLVE 0xF0
//	0x05       SOCKS5                CONNECT, UDP ASSOCIATE, RESOLVE 0xF0, RESOLVE_PTR 0xF1
//	'A'..'Z'   HTTP                  CONNECT, absolute-form requests
//	other      closed
//
// The package never resolves a name and never dials: where a program wants to
// go is handed to a [Dialer], listeners and the UDP sockets towards programs
// are handed in. It knows nothing of circuits, relays or services.
//
// Names that nobody's exit may be asked for end here, with those of services,
// which get addresses from 198.18.0.0/15 by [Automap]: see [ClassifyName], which
// the DNS listener (client/dns) shares.
//
// A [Server] is one listener with its options; [Server.Serve] owns and awaits
// every goroutine: one for each connection, one more for each stream, and two
// for each leg of a UDP association. All exported methods may be called from
// any goroutine.
//
// Nothing that a program says is written down: the log gets constant sentences
// at most once an hour each, and counts are totals (security LOG-1 to LOG-5).
//
// Spec: product §4 (SOCKS-1 to SOCKS-14, HTTP-1 to HTTP-3, UDP-1 to UDP-5,
// DNS-1, DNS-2, ISO-1, ISO-2), security B29, B31, T34.
package proxy
