// SPDX-License-Identifier: BSD-3-Clause

// Package web serves the local page: embedded files, and the local API behind a
// session. It is not the API: that comes in as a handler, which answers whoever the
// checks here let through. It is no place for remote use: Serve refuses a listener that
// is not on loopback.
//
// Every user of the machine, and through a rebound name every web site that the user
// visits, can send requests here. So, in this order: the Host is the listener's own
// address or localhost with its port; no Origin but its own, and no request that a
// browser says another site made, save one that opens the page; nothing is changed by
// GET. The files are the same for everybody and say nothing. All else needs the secret
// of a session, as bearer header. A session is begun with a token, which is good once
// and for TokenTime; tokens are made by Tokens.Mint, which no request can reach, and
// travel in an address's fragment, which no browser sends. There are no cookies: a
// browser shows one to every port of the host.
//
// Limits: ConnectionCount connections, further ones wait; SessionCount sessions, further
// ones are refused; a session ends after IdleTime without a request; TokenCount tokens,
// a further one ends the oldest; WrongCount wrong tokens or secrets a minute, then they
// are told to come later, while right ones still pass, so that nobody can lock the user
// out; requests have requestTime to arrive, headerSize of header and MaxBodySize of body.
//
// It logs nothing. Functions are safe for concurrent use.
//
// Spec: product §5 (PAGE-1..4), security B31.
package web
