// SPDX-License-Identifier: BSD-3-Clause

// Package limit counts what may still happen: token buckets for admission
// ([Bucket]), an exact rate for the bytes of many connections ([Meter]), a
// quota of bytes per day, week or month ([Quota]), and one account for memory
// ([Memory]).
//
// It does not know what it counts. A Bucket and a Quota are pure: they keep no
// clock (now is an argument), start no goroutine, do no I/O, and are not safe
// for concurrent use. A Meter waits for its turn with the time package, so it
// works in virtual time too; it, its connections and a Memory are safe for
// concurrent use, within the bounds that their comments state.
//
// Spec: security §3 (B8, B16); product §6 (REL-4, REL-5).
package limit
