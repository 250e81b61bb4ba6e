// SPDX-License-Identifier: BSD-3-Clause

// Package control is the local API of a running daemon: HTTP and JSON over a unix
// socket that its owner alone can open. It has the server, the client that the
// commands use, and the plain data that both speak.
//
//	GET /v1/status    Status
//
// It knows no role: what it serves comes in through a Source. It logs nothing, and
// what it serves is its own user's, who may see destinationless facts about guards
// and circuits; of a relay it has totals only, never circuits or peers.
//
// Limits: ConnectionCount connections, further ones wait; a request has
// requestTime to arrive and headerSize of header; bodies, other methods and other
// hosts than localhost and chive are refused, so that no web page gets an answer
// through a rebound name.
//
// Functions are safe for concurrent use.
//
// Spec: product §5 (API-1), CLI-5.
package control
