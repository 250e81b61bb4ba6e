// SPDX-License-Identifier: BSD-3-Clause

// Package dns is the local DNS port, for programs that can speak no proxy
// protocol: A, AAAA and PTR through exits, over UDP and TCP.
//
//	name or type asked for                            answer
//	onion, alt but services, local, single labels     NXDOMAIN, nobody is asked
//	localhost, 127.0.0.0/8, ::1                       this machine, nobody is asked
//	below chive.alt                                   A: a mapped address; AAAA: none
//	other names, A or AAAA                            an exit is asked
//	addresses, PTR                                    an exit is asked; mapped ones: the name
//	everything else                                   NOTIMP
//
// It is not a resolver: it knows no zones, follows no delegation, validates
// nothing and caches nothing. A cache would have to be kept apart for each
// isolation key, would hold in memory where its user went, and would save little:
// programs and systems have caches, and each answer holds 60 s. Only queries that
// come while the same look-up is under way share it, as A and AAAA do. The package never
// dials; its sockets are handed in, and names go to a [Resolver].
//
// A [Server] is one listener; [Server.Serve] owns and awaits every goroutine: one
// for each look-up by UDP, at most 512, and one for each TCP connection, at most
// 64, which answers its queries in order. Beyond 512 look-ups SERVFAIL is the
// answer; beyond 64 connections accepting pauses. All exported methods may be
// called from any goroutine.
//
// Nothing that is asked is written down (security LOG-1 to LOG-5).
//
// Spec: product §4.4 (DNS-1 to DNS-4), §4.5 (ISO-1).
package dns
