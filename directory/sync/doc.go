// SPDX-License-Identifier: BSD-3-Clause

// Package sync holds the requests by which clients fetch the agreed table from
// relays, on a stream of type 3 of a link or on a BEGIN_DIR stream of a circuit:
// their bytes, a Server that answers them from a snapshot.View, and Check, with
// which a client compares what a relay reports with what it holds.
//
// It moves no bytes: the roles read frames from their streams and write what this
// package returns. It has nothing to do with the standard library's package of
// the same name.
//
//	frame    length 4 | CBOR [code, ...]          length at most 128 KiB
//	answer   frame | zeros up to a multiple of 4,096 bytes
//
//	code  request                           answer
//	0                                       [0, reason]
//	1     [1, header digest, table root,    [1, header, certificate, [step, ...],
//	       [list root, ...]]                 [tile root, ...], [tile, ...]]
//	2     [2, table root, n]                [2, n, tile]
//	5     [5, epoch]                        [5, header], an empty one: skipped
//
// Header digest and table root of a SYNC are empty while the client holds none.
// The answer to a client that holds the table has no tiles; to others it has the
// first tiles that fit. A tile is a byte that names its compression, 0 for none,
// and the leaves, each behind its size in one byte. Certificate and hand-over
// steps are empty for snapshot 0, which follows from the genesis document. Codes 3,
// 4, 6, 7 and 8 belong to what later epochs need and are refused.
//
// A Server may be used by any number of goroutines.
//
// Spec: directory §8.
package sync
