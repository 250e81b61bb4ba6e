// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

// What every kernel does with single blocks: key expansion, the cipher of the
// tag, the start of the key stream. AES-NI, PCLMULQDQ, SSSE3.
//
// This holds of all kernels: Operands are in Go's order, the last one is the
// destination. State, cells and tags are loaded and stored unaligned (MOVOU),
// since Go promises no more; constants of 16 bytes are aligned by the linker. No
// address and no branch depends on a key or on data; lengths and the number of
// rounds are public. There are no stack frames, and so no copies of keys in them.

#include "go_asm.h"
#include "kernel_amd64.h"
#include "textflag.h"

// The block with its bytes reversed.
DATA reverseBytes<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverseBytes<>+8(SB)/8, $0x0001020304050607
GLOBL reverseBytes<>(SB), RODATA|NOPTR, $16

// RotWord of the last word, in every word.
DATA rotateLast<>+0(SB)/8, $0x0c0f0e0d0c0f0e0d
DATA rotateLast<>+8(SB)/8, $0x0c0f0e0d0c0f0e0d
GLOBL rotateLast<>(SB), RODATA|NOPTR, $16

// x^128 modulo p.
DATA overflow<>+0(SB)/8, $0x0000000000000001
DATA overflow<>+8(SB)/8, $0xc200000000000000
GLOBL overflow<>(SB), RODATA|NOPTR, $16

// c of the reduction, in the low half.
DATA reduction<>+0(SB)/8, $0xc200000000000000
DATA reduction<>+8(SB)/8, $0
GLOBL reduction<>(SB), RODATA|NOPTR, $16

// 0^12 | 0^3 1, the counter block of GCM's tag with a nonce of zeros.
DATA tagCounter<>+0(SB)/8, $0
DATA tagCounter<>+8(SB)/8, $0x0100000000000000
GLOBL tagCounter<>(SB), RODATA|NOPTR, $16

// The number 1 in every word: the first round constant.
DATA roundConstant<>+0(SB)/8, $0x0000000100000001
DATA roundConstant<>+8(SB)/8, $0x0000000100000001
GLOBL roundConstant<>(SB), RODATA|NOPTR, $16

// The length block of 16 bytes in bits, reversed.
DATA lengthOfBlock<>+0(SB)/8, $0
DATA lengthOfBlock<>+8(SB)/8, $128
GLOBL lengthOfBlock<>(SB), RODATA|NOPTR, $16

// NEXT_KEY makes the next half of a key schedule out of the one before the
// last: word i becomes the xor of words 0 ... i, and of t, which SubWord has
// made of the last half.
#define NEXT_KEY(half, t, u) \
	MOVO  half, u \
	PSLLO $4, u   \
	PXOR  u, half \
	MOVO  half, u \
	PSLLO $8, u   \
	PXOR  u, half \
	PXOR  t, half

// SUB_ROTATED is SubWord(RotWord(last word)) xor the round constant in X12, in
// every word of t. AESENCLAST shifts rows, which is nothing to equal columns.
#define SUB_ROTATED(half, t) \
	MOVO       half, t              \
	PSHUFB     rotateLast<>(SB), t  \
	AESENCLAST X12, t

// SUB_PLAIN is SubWord(last word) in every word of t. X13 is zero.
#define SUB_PLAIN(half, t) \
	PSHUFD     $0xff, half, t \
	AESENCLAST X13, t

// EVEN and ODD make round keys r of the four schedules, store those of KB and
// K, and use those of KU and B at once.
#define EVEN(r, ENC) \
	SUB_ROTATED(X1, X14)           \
	NEXT_KEY(X0, X14, X15)         \
	MOVOU X0, ROUND_KB(r)          \
	SUB_ROTATED(X5, X14)           \
	NEXT_KEY(X4, X14, X15)         \
	ENC   X4, X8                   \
	ENC   X4, X9                   \
	SUB_ROTATED(X3, X14)           \
	NEXT_KEY(X2, X14, X15)         \
	MOVOU X2, 16+ROUND_KB(r)       \
	SUB_ROTATED(X7, X14)           \
	NEXT_KEY(X6, X14, X15)         \
	ENC   X6, X10                  \
	ENC   X6, X11                  \
	PSLLL $1, X12

#define ODD(r) \
	SUB_PLAIN(X0, X14)             \
	NEXT_KEY(X1, X14, X15)         \
	MOVOU X1, ROUND_KB(r)          \
	SUB_PLAIN(X4, X14)             \
	NEXT_KEY(X5, X14, X15)         \
	AESENC X5, X8                  \
	AESENC X5, X9                  \
	SUB_PLAIN(X2, X14)             \
	NEXT_KEY(X3, X14, X15)         \
	MOVOU X3, 16+ROUND_KB(r)       \
	SUB_PLAIN(X6, X14)             \
	NEXT_KEY(X7, X14, X15)         \
	AESENC X7, X10                 \
	AESENC X7, X11

// TIMES_X multiplies h by x: shift left by one, and what falls off comes back
// as x^128 modulo p.
#define TIMES_X(h, t, u) \
	PSHUFD $0xff, h, t       \
	PSRAL  $31, t            \
	PAND   overflow<>(SB), t \
	MOVO   h, u              \
	PSRLQ  $63, u            \
	PSLLO  $8, u             \
	PADDQ  h, h              \
	PXOR   u, h              \
	PXOR   t, h

// func expandKeys(k *kernel, keys *[4 * productionKeySize]byte)
//
// The four AES-256 schedules side by side, because each alone would wait most
// of the time for its own last step.
//
//	X0  X1   KB, the last two round keys     X8   AES_KU(0)
//	X2  X3   K                               X9   AES_KU(tagCounter)
//	X4  X5   KU                              X10  AES_B(0)
//	X6  X7   B                               X11  AES_B(tagCounter)
//	X12      round constant                  X13  zero
TEXT ·expandKeys(SB), NOSPLIT, $0-16
	MOVQ k+0(FP), DI
	MOVQ keys+8(FP), SI

	MOVOU 0(SI), X0
	MOVOU 16(SI), X1
	MOVOU 32(SI), X4
	MOVOU 48(SI), X5
	MOVOU 64(SI), X2
	MOVOU 80(SI), X3
	MOVOU 96(SI), X6
	MOVOU 112(SI), X7
	MOVOU roundConstant<>(SB), X12
	PXOR  X13, X13

	// Rounds 0 and 1 are the key itself.
	MOVOU  X0, ROUND_KB(0)
	MOVOU  X2, 16+ROUND_KB(0)
	MOVOU  X1, ROUND_KB(1)
	MOVOU  X3, 16+ROUND_KB(1)
	MOVO   X4, X8
	MOVOU  tagCounter<>(SB), X9
	MOVO   X6, X10
	MOVO   X9, X11
	PXOR   X4, X9
	PXOR   X6, X11
	AESENC X5, X8
	AESENC X5, X9
	AESENC X7, X10
	AESENC X7, X11

	EVEN(2, AESENC)
	ODD(3)
	EVEN(4, AESENC)
	ODD(5)
	EVEN(6, AESENC)
	ODD(7)
	EVEN(8, AESENC)
	ODD(9)
	EVEN(10, AESENC)
	ODD(11)
	EVEN(12, AESENC)
	ODD(13)
	EVEN(14, AESENCLAST)

	MOVQ  $14, kernel_rounds(DI)
	MOVOU reverseBytes<>(SB), X7
	MOVOU X7, kernel_order(DI)
	MOVOU X9, kernel_tweakEnd(DI)

	// H of KU.
	PSHUFB X7, X8
	TIMES_X(X8, X0, X1)
	MOVOU  X8, POWER(1)

	// B: X10 = H, then H^2 in X5 and H times the length block in X6.
	MOVOU  reduction<>(SB), X4
	PSHUFB X7, X10
	TIMES_X(X10, X0, X1)
	MOVOU  lengthOfBlock<>(SB), X6
	PRODUCT(X6, X10, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	PSHUFB X7, X2
	PXOR   X11, X2
	MOVOU  X2, kernel_startEnd(DI)
	MOVO   X10, X5
	PRODUCT(X5, X10, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU  X2, kernel_startH(DI)
	CLEAR_LOW
	RET

// func expandPowers(k *kernel)
//
//	X8   H      X9   H^2    X10  H^3    X11  H^4    X4   c of the reduction
//	X0 ... X3   sums        X5 X6       operands
TEXT ·expandPowers(SB), NOSPLIT, $0-8
	MOVQ  k+0(FP), DI
	MOVOU POWER(1), X8
	MOVOU reduction<>(SB), X4

	MOVO  X8, X5
	PRODUCT(X5, X8, X3, X0, X1, X9)
	REDUCE(X0, X1, X9, X4, X3)
	MOVOU X9, POWER(2)
	MOVO  X9, X5
	PRODUCT(X5, X8, X3, X0, X1, X10)
	REDUCE(X0, X1, X10, X4, X3)
	MOVOU X10, POWER(3)
	MOVO  X9, X5
	PRODUCT(X5, X9, X3, X0, X1, X11)
	REDUCE(X0, X1, X11, X4, X3)
	MOVOU X11, POWER(4)

	// H^5 ... H^8 = H ... H^4 times H^4.
	PRODUCT(X8, X11, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER(5)
	PRODUCT(X9, X11, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER(6)
	PRODUCT(X10, X11, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER(7)
	MOVO  X11, X5
	PRODUCT(X5, X11, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER(8)

	// H^12 and H^16 = H^4 and H^8 times H^8.
	MOVO  X2, X8
	MOVO  X2, X5
	PRODUCT(X11, X8, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER12
	PRODUCT(X5, X8, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	MOVOU X2, POWER16
	CLEAR_LOW
	RET

// func hashStart(k *kernel, tag *block) (high, low uint64)
//
// UH(B, tag) = tag times H^2, and what startEnd holds.
TEXT ·hashStart(SB), NOSPLIT, $0-32
	MOVQ   k+0(FP), DI
	MOVQ   tag+8(FP), DX
	MOVOU  kernel_order(DI), X7
	MOVOU  kernel_startH(DI), X5
	MOVOU  kernel_startEnd(DI), X8
	MOVOU  reduction<>(SB), X4
	MOVOU  (DX), X6
	PSHUFB X7, X6
	PRODUCT(X6, X5, X3, X0, X1, X2)
	REDUCE(X0, X1, X2, X4, X3)
	PSHUFB X7, X2
	PXOR   X8, X2
	PSHUFB reverseBytes<>(SB), X2
	MOVQ   X2, AX
	PSRLO  $8, X2
	MOVQ   X2, BX
	MOVQ   BX, high+16(FP)
	MOVQ   AX, low+24(FP)
	CLEAR_LOW
	RET

#define ENC_TAG(r) \
	MOVOU  ROUND_KB(r), X2 \
	AESENC X2, X0

// func encryptTag(k *kernel, tag, h *block)
TEXT ·encryptTag(SB), NOSPLIT, $0-24
	MOVQ   k+0(FP), DI
	MOVQ   tag+8(FP), SI
	MOVQ   h+16(FP), DX
	MOVOU  (SI), X0
	MOVOU  (DX), X1
	MOVOU  ROUND_KB(0), X2
	PXOR   X1, X0
	PXOR   X2, X0
	ENC_TAG(1)
	ENC_TAG(2)
	ENC_TAG(3)
	ENC_TAG(4)
	ENC_TAG(5)
	ENC_TAG(6)
	ENC_TAG(7)
	ENC_TAG(8)
	ENC_TAG(9)
	MOVQ   kernel_rounds(DI), CX
	CMPQ   CX, $10
	JE     end
	ENC_TAG(10)
	ENC_TAG(11)
	ENC_TAG(12)
	ENC_TAG(13)

end:
	SHLQ       $5, CX
	MOVOU      kernel_round(DI)(CX*1), X2
	AESENCLAST X2, X0
	PXOR       X1, X0
	MOVOU      X0, (SI)
	CLEAR_LOW
	RET

#define DEC_TAG(r) \
	MOVOU  ROUND_KB(r), X2 \
	AESIMC X2, X2          \
	AESDEC X2, X0

// func decryptTag(k *kernel, tag, h *block)
//
// The equivalent inverse cipher (FIPS 197 §5.3.5). Its round keys are made on
// the way: that does not delay the one block, whose rounds wait for each other,
// and spares expandKeys a schedule that relays never need.
TEXT ·decryptTag(SB), NOSPLIT, $0-24
	MOVQ  k+0(FP), DI
	MOVQ  tag+8(FP), SI
	MOVQ  h+16(FP), DX
	MOVOU (SI), X0
	MOVOU (DX), X1
	PXOR  X1, X0
	MOVQ  kernel_rounds(DI), CX
	MOVQ  CX, AX
	SHLQ  $5, AX
	MOVOU kernel_round(DI)(AX*1), X2
	PXOR  X2, X0
	CMPQ  CX, $10
	JE    ten
	DEC_TAG(13)
	DEC_TAG(12)
	DEC_TAG(11)
	DEC_TAG(10)

ten:
	DEC_TAG(9)
	DEC_TAG(8)
	DEC_TAG(7)
	DEC_TAG(6)
	DEC_TAG(5)
	DEC_TAG(4)
	DEC_TAG(3)
	DEC_TAG(2)
	DEC_TAG(1)
	MOVOU      ROUND_KB(0), X2
	AESDECLAST X2, X0
	PXOR       X1, X0
	MOVOU      X0, (SI)
	CLEAR_LOW
	RET
