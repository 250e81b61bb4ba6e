// SPDX-License-Identifier: BSD-3-Clause

// Package cell holds the bytes of cells and of the relay messages inside them.
//
// It is codecs and limits only: no cipher, no state, no I/O. All functions are
// safe for concurrent use; decoders return views into their input.
//
//	cell     command 1 | body 2048                                  = 2049
//	RELAY    tag 16 | payload 2032                                  = body
//	payload  message, message, ... , type 0, random padding         = 2032
//	message  type 1 | flags 1 | stream 2 | length 2 | body
//
// Spec: protocol §2, §5.
package cell
