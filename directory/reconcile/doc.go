// SPDX-License-Identifier: BSD-3-Clause

// Package reconcile finds out in what two sets of item digests differ, at a cost
// that follows the number of differences and not the size of the sets. Gossip
// repairs with it what announcements have missed.
//
// A session has an opener and a responder. Both are a Session that is given the
// peer's messages one by one and hands back the messages to send, until it returns
// a Result or an error. The responder sends coded symbols of its set (Rateless
// IBLT); the opener subtracts its own, peels, and asks for more until nothing is
// left. If the differences are too many for that, both fall back to 256 keyed sums,
// by the first byte of the digests, and to lists of short ids of the buckets that
// differ. At the end both sides know the same: what only they have, and what only
// the peer has.
//
//	opener                              responder
//	OPEN nonce, count            ->
//	                             <-     OPEN nonce, count
//	                             <-     SYMBOLS 0: 32 symbols
//	SYMBOLS 32: none (more)      ->
//	                             <-     SYMBOLS 32: 64 symbols      ... at most 2,048
//	DONE wanted, offered         ->
//
//	BUCKETS sums                 ->     instead of the last line, where the limit is reached
//	                             <-     BUCKETS lists 0             ... 4,096 ids each
//	BUCKETS next 1               ->
//	DONE wanted, offered         ->     ... 4,096 ids each
//
// It is not a set of records, knows no streams and no time: the caller owns frames,
// timeouts, penalties, how often a peer may fall back, and that there is one session
// with a peer at a time. A Session belongs to one goroutine; a Set is shared freely.
//
// Item: the first 16 bytes of a digest. Coded symbol, 28 bytes:
//
//	offset  bytes  field
//	     0     16  sum: exclusive or of the items
//	    16      8  check: exclusive or of their check hashes
//	    24      4  count of items, signed
//
// Keys of a session, 16 bytes each, for SipHash-2-4:
//
//	check | index | sum = SHAKE256("chive repair v1" | handshake hash 32 | opener's nonce 16 | responder's nonce 16)
//
// What a peer can make a session hold or compute is bounded: MaxSymbolCount symbols
// and as many differences, a fixed number of steps of peeling, lists of no more ids
// than the peer announced, and frames that are full but for the last one.
//
// Spec: directory §4 (repair), protocol (REPAIR-1..6).
package reconcile
