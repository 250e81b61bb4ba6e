// SPDX-License-Identifier: BSD-3-Clause

// Package metrics shows an operator's numbers to Prometheus.
//
// It keeps no counters of its own: a function of the caller returns a [Snapshot] of
// plain numbers, at most once a minute, and until then everybody sees the last one.
// Bytes are rounded down to 1 MiB. Every label's values are fixed in this package, so
// that no peer, circuit, destination or service can become one. It never logs.
//
// Safe for concurrent use.
//
// Spec: product §6 (REL-10), security §2 (LOG-6).
package metrics
