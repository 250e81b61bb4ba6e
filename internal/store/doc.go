// SPDX-License-Identifier: BSD-3-Clause

// Package store keeps small files, and one larger file of tables, so that a kill at
// any instant, or a power cut after a call returned, leaves each old or new, never half.
//
// [WriteFile] writes, syncs, renames and syncs the folder; [ReadKey] refuses keys
// that others can read; [TakeLock] keeps a second process out of a state folder; a
// [Table] holds buckets of keys and values. Files are 0600, folders 0700. What the files hold is the caller's: nothing here
// encrypts, caches or watches, and nothing is logged.
//
// Error texts hold no path. [ExposedError] and [HeldError] have methods that say
// to the operator, on his terminal and not in a log, what to do.
//
// Functions are safe for concurrent use on different files; a file has one writer
// at a time, which the lock of its folder ensures.
//
// Spec: product §3, security KEY-4.
package store
