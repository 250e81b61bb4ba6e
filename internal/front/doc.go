// SPDX-License-Identifier: BSD-3-Clause

// Package front is the front door inside the namespace of chive run: the same proxy and
// name server that a client has, but what programs ask of them goes to the proxy port
// of the client that runs outside.
//
//	program inside --> client/proxy, name server --> internal/socks --> running client
//
// Every run is an isolation key of its own, and the credentials that programs inside
// send keep them apart within it. The name server answers A, AAAA and PTR by the
// proxy's look-ups.
//
// It makes no namespace, which is internal/namespace's, and holds no circuit. It logs
// nothing. A [Front] may be used from any goroutine; Serve owns and awaits all of its
// own.
//
// Spec: product CLI-9, §4.4 (DNS-3, DNS-4).
package front
