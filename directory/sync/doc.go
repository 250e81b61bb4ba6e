// SPDX-License-Identifier: BSD-3-Clause

// Package sync is how clients get the agreed table from relays, on a stream of type 3
// of a link or on a BEGIN_DIR stream of a circuit: the bytes of requests and answers, a
// Server that answers from what a relay holds, and a Follower that verifies, step by
// step from an anchor, whatever a source sends, and holds the result.
//
// It opens no streams, chooses no sources and waits for nobody: the roles do, and call
// Answer, or Fetch with a stream that they can close. It keeps no files: Encode and
// LoadFollower, Past and WithPast are what the roles store. It has nothing to do with
// the standard library's package of the same name.
//
//	request  length 4 | CBOR [code, ...]
//	answer   frames: length 4 | CBOR [code, frames that follow, part of the content] | zeros up to 4,096
//
//	code           request                                          content of the answer
//	0                                                               reason 1
//	1 SYNC         epoch, header, dir, dict, lists, bare            CBOR [working, certificate, steps, diff, dictionaries, roots, tiles]
//	2 TILE         dir, n, count                                    CBOR [n, tiles]
//	3 DICT         dict                                             packed dictionaries
//	4 DIFF         dir, dict, dir, dict                             packed diff
//	5 HEADER       epoch                                            header, or nothing: skipped
//	6 CERT         header digest                                    certificate
//	7 PROOF        number, header digest                            digest 32 | path 32 each
//	8 EVIDENCE     record                                           nothing
//	9 TIME                                                          Unix seconds 8
//	10 REACH       ip, port                                         result 1 | ip observed
//
//	packed         0 | bytes, or 1 | size 4 | zstd frame
//	tile           0 | (size 1 | leaf) ..., or 1 | leaves - 1, 2 | 13 columns: 0 or 1 | size 2 | bytes or zstd frame
//
// One honest source is enough: a source can only withhold, or be stale. What a Follower
// takes has a certificate of a list that a hand-over leads to (package vote), a table
// with the header's roots, has its present snapshot in its history, and keeps the rules
// against it (transition.Check). Where the present one was replaced by a sibling, rules
// are checked against an older proven ancestor: they say nothing about siblings.
//
// Bounds of a Server:
//
//	tables served         the 6 newest final snapshots', and snapshot 0's
//	tables for diffs      26 and 64 MiB; of older ones the tiles alone are kept
//	diffs                 52 for each table served
//	certificates          2,160, and as many digests of ancestors; the oldest goes
//	hand-over steps       1,024, and as many by another committee
//	looks for an answer   128 lists and chains, 256 headers for each, twice; a step is made once
//
// of a Follower: its own table, the one before it, and one on its way; two certificates and 96 records of
// evidence.
//
// A Server is immutable and may be used by any number of goroutines; it makes what
// travels when it is first asked for. A Follower belongs to one goroutine.
//
// REACH is between relays alone, over a link: its bytes are here, since it travels on the
// same streams; what is done about it is the role's.
//
// Spec: directory §8, protocol §7 (SYNC-1..10, DIR-15, REACH-1..3).
package sync
