// SPDX-License-Identifier: BSD-3-Clause

// Package socks is the program's side of chive's own proxy port: SOCKS5 with user and
// password, CONNECT, UDP ASSOCIATE, and the look-ups RESOLVE and RESOLVE_PTR. The
// commands that go through a running daemon use it.
//
//	greeting   5 1 method             method 2 with credentials, else 0
//	           1 n user n password    with method 2
//	request    5 command 0 address port
//	reply      5 code 0 address port
//	address    1 IPv4 | 3 n name | 4 IPv6; port 2 bytes, big-endian
//
// It opens no connection: each function is handed one that is new, and does one
// request on it. It is not the proxy, which is client/proxy, and it looks no name up.
//
// Functions are safe for concurrent use, each on a connection of its own; they block
// until the answer is there or ctx ends.
//
// Spec: product §4.1 (SOCKS-4, SOCKS-8, SOCKS-10), §4.6.
package socks
