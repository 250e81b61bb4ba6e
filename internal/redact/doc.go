// SPDX-License-Identifier: BSD-3-Clause

// Package redact is the only maker of log fields, and the only place that turns
// an error of the operating system into something that may be shown.
//
// A log field is one of: event, role, reason, count, duration in buckets,
// version, own listen address. [Field] is sealed, names are constants of an
// unexported type, so nothing else compiles. Roles write
//
//	log.Info().EmbedObject(redact.Event("ready")).EmbedObject(redact.Took(d)).Msg("relay is ready")
//
// with a zerolog.Logger from their Config; its zero value is silent. [NewLogger]
// makes the loggers of a process, which cut times to the minute and print one
// line per kind and minute at most, except in a testnet.
//
// It is not a log of its own: nothing here writes unless a logger does.
// Everything is safe for concurrent use.
//
// Spec: security LOG-2 to LOG-5.
package redact
