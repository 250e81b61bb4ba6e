// SPDX-License-Identifier: BSD-3-Clause

// Package control is the local API of a running daemon: HTTP and JSON over a unix
// socket that its owner alone can open. It has the server, the client that the
// commands use, and the plain data that both speak.
//
// docs/api.md lists every path and field; it is made from the table in routes.go and
// from the forms in status.go, source.go, answers.go and hub.go by the package's test.
//
// It knows no role: what it serves comes in through a Source and its abilities, and
// through a Hub. It logs nothing, and what it serves is its own user's, who may see
// his own streams with their destinations; of a relay it has totals only, never
// circuits or peers.
//
// Limits: ConnectionCount connections, further ones wait; SubscriberCount follow the
// events, with EventCount events waiting for each; a request has requestTime to arrive,
// headerSize of header and MaxBodySize of body. What changes something is asked with
// POST, never with GET. Other hosts than localhost and chive are refused, and so is what
// a browser sends, so that no web page gets an answer through a rebound name. The local
// page has a listener and checks of its own, in package web, and mounts Handler.
//
// Functions are safe for concurrent use.
//
// Spec: product §5 (API-1, API-2), CLI-5; security B31.
package control
