// SPDX-License-Identifier: BSD-3-Clause

// Package link joins two neighbours over one byte stream: an authenticated,
// post-quantum encrypted connection whose bytes on the wire are fixed records,
// and which carries streams. It holds the handshake, the records, the
// multiplexer with its limits and its scheduler, a pool of links and a listener.
//
// It is not a circuit: it knows cells only as units of 2049 bytes. It never
// logs, never resolves a name, and treats the connection below as any reliable
// byte stream (Transport). A link is used by any number of goroutines at once;
// what blocks, and what ends that, stands at each method. No mutex is held
// across a wait, so it runs in virtual time.
//
// # Handshake
//
// The initiator dialled, the responder must be a relay. All integers are
// big-endian. The messages follow each other without any framing: each has one
// size, whoever sends it.
//
//	-> suite 1 | version 1 | message 1 (1232)
//	<- message 2 (1442)
//	-> message 3 (322)
//
//	suite    1 Noise_XXpsk3_25519_AESGCM_SHA256, 2 Noise_XXpsk3_25519_ChaChaPoly_SHA256
//	version  1
//
// Both bytes are the initiator's choice; a responder accepts both suites, and
// refuses any other suite or version. The version stands in the prologue and the
// suite in Noise's protocol name, so a change of either on the way ends the
// handshake.
//
//	prologue   "chive-link" 10 | version 1 | network id 32                        43
//	message 1  e 32 | payload (ML-KEM-768 encapsulation key 1184) + tag 16       1232
//	message 2  e 32 | s 32 + tag 16 | payload (ML-KEM-768 ciphertext 1088 | certificate field 258) + tag 16   1442
//	message 3  s 32 + tag 16 | payload (certificate field 258) + tag 16           322
//	certificate field   length 2 | certificate, 0 to 256 | zeros up to 258
//	psk        SHAKE256("chive link psk v1" | ML-KEM shared secret 32), 32 bytes
//
// The tokens are those of XXpsk3: e; e, ee, s, es; s, se, psk. A relay sends its
// certificate, a client (which makes a new static key for every link) length 0;
// the responder must send one. The encapsulation key is checked as FIPS 203
// wants it, an all-zero X25519 result is refused, padding that is not zero is
// refused. The psk is set on both sides before message 3 is made or read; an
// implementation must not mix an empty one.
//
// The initiator checks message 2, certificate included, before it shows its own
// static key and certificate in message 3. It may send records right behind
// message 3. The responder's first record, or the close of the connection, tells
// it whether message 3 was liked.
//
// Whatever is wrong, the connection is closed at once and nothing is said. Both
// sides end a handshake that is not complete after 10 s. A responder reads 1234
// bytes, then 322; it sends 1442, at most 1.2 times what it received.
//
// # Certificate
//
//	certificate = signature 64 | body          at most 256 bytes
//	body        = CBOR map, core deterministic encoding:
//	              0 network id (byte string, 32)    1 identity (byte string, 32, Ed25519)
//	              2 link key (byte string, 32, X25519)    3 not after (Unix seconds, at most 2^40)
//	signature   = Ed25519 by the identity over "chive link certificate v1" | body
//
// Keys from 64 on are ignored, other unknown keys are refused. The network id must
// be the own one, the identity's encoding canonical and not of small order, the
// link key equal to the sender's Noise static key. It is valid while not after
// lies ahead, by at most 48 h; both bounds are relaxed by the error a clock may
// have, 1 h. A link to the own identity is refused.
//
// # Records
//
// After message 3 each direction carries records of 2112 bytes and nothing else,
// from number 0, under its key of Noise's Split().
//
//	record  = AEAD(key, nonce n, no additional data, data 2092 | length 2 | flags 2) | tag 16
//	nonce   = 4 zero bytes | n in 8 bytes, big-endian (AES-GCM) or little-endian (ChaChaPoly)
//	flags 0   length 1 to 2092: so many bytes of data, zeros behind them
//	flags 1   length 0: padding, ignored
//
// Any other length or flag is refused. What stands behind the data is not looked
// at. Before record number 65536, 131072, ... of a direction its key is replaced
// by Noise's Rekey(): the first 32 bytes of AEAD(key, nonce 2^64-1, no additional
// data, 32 zero bytes). The number goes on. A record that does not open, or
// breaks these rules, ends the link.
//
// A side that sent nothing for 20 s sends a padding record; one that received
// nothing for 55 s closes.
//
// # Streams
//
// The data of a direction's records, joined, is a sequence of yamux frames
// (specification version 0) of at most 16384 bytes of data:
//
//	version 1 (0) | kind 1 | flags 2 | stream 4 | length 4 | data (kind 0 only)
//	kind 0 data, 1 window update (length: the increment, at most 262144), 2 ping, 3 go away
//	flags 1 SYN, 2 ACK, 4 FIN, 8 RST
//
// Both sides start with a window of 262144 bytes for each stream and direction.
// The initiator's streams have odd numbers, the responder's even ones. Pings are
// not answered; go away ends the link. Refused, and the end of the link: another
// version or kind, unknown flags, a length beyond these bounds, more data than
// the window, a SYN for a number in use or of the wrong parity, an ACK that is not
// due, data or FIN after FIN. Frames for streams that are over are ignored.
//
// The first byte of data of a stream, from the side that opened it, is its type:
// 1 circuit, 2 gossip, 3 directory, 4 mailbox. A stream of another type, or that
// ends before its type, is reset. A stream is over when both sides sent FIN, or
// one RST. A circuit's stream carries cells of 2049 bytes without further framing.
//
// Limits of a responder or initiator alike: 512 streams opened by a client, 8192
// by a relay, 256 not yet accepted; beyond, that stream is reset, and more than
// 1000 such resets in a minute end the link. Frames without data: 200/s and one
// for each 4096 bytes of data in either direction, burst 20000.
//
// # Scheduling
//
// At most 8 writes of at most 4 cells are inside the multiplexer. Who is next:
// control cells in their order, then the stream with the least bytes sent, each
// byte's weight halving every Config.HalfLife. A stream whose window is closed
// holds no place.
//
// Spec: protocol §1; security §3 (B1-B7, B14)
package link
