// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

// GHASH and key stream in 128-bit registers: AES-NI, PCLMULQDQ, SSSE3. They
// serve processors without VAES.

#include "go_asm.h"
#include "kernel_amd64.h"
#include "textflag.h"

// The block with its bytes reversed.
DATA reverseBytes<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverseBytes<>+8(SB)/8, $0x0001020304050607
GLOBL reverseBytes<>(SB), RODATA|NOPTR, $16

// c of the reduction, in the low half.
DATA reduction<>+0(SB)/8, $0xc200000000000000
DATA reduction<>+8(SB)/8, $0
GLOBL reduction<>(SB), RODATA|NOPTR, $16

// All bytes but the first.
DATA exceptFirst<>+0(SB)/8, $0xffffffffffffff00
DATA exceptFirst<>+8(SB)/8, $0xffffffffffffffff
GLOBL exceptFirst<>(SB), RODATA|NOPTR, $16

// HASHED adds block i of eight at DX, counted from 0, times its power.
#define HASHED(i) \
	MOVOU  (16*i)(DX), X4 \
	MOVOU  POWER(8-i), X6 \
	PSHUFB X13, X4        \
	ADD_PRODUCT(X4, X6, X5, X7, X1, X2, X3)

// EIGHT is S = (S + block 0) H^8 + block 1 H^7 ... with S + block 0 in X0 and
// block 1 in X4. The products that do not wait for S come first.
#define EIGHT \
	MOVOU  POWER(7), X6 \
	PRODUCT(X4, X6, X5, X1, X2, X3) \
	HASHED(2) \
	HASHED(3) \
	HASHED(4) \
	HASHED(5) \
	HASHED(6) \
	HASHED(7) \
	MOVOU  POWER(8), X6 \
	ADD_PRODUCT(X0, X6, X5, X7, X1, X2, X3) \
	REDUCE(X1, X2, X3, X14, X5) \
	MOVO   X3, X0

// func hashAESNI(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)
//
// Horner's rule, eight blocks a step: S = (S + X1) H^8 + X2 H^7 + ... + X8 H,
// first with chain for X1 and the command in X2.
//
//	DI  kernel     X0  S               X4 ... X7  operands, scratch
//	SI  out        X1  LO              X13        order
//	DX  input      X2  MID             X14        c of the reduction
//	CX  blocks     X3  HI
//	R8  last
TEXT ·hashAESNI(SB), NOSPLIT, $0-48
	MOVQ    k+0(FP), DI
	MOVQ    out+8(FP), SI
	MOVQ    chain+16(FP), R9
	MOVQ    cell+24(FP), DX
	MOVQ    blocks+32(FP), CX
	MOVQ    last+40(FP), R8
	MOVOU   kernel_order(DI), X13
	MOVOU   reduction<>(SB), X14
	MOVOU   (R9), X0
	PSHUFB  X13, X0
	MOVBLZX (DX), AX
	MOVQ    AX, X5
	MOVOU   16(DX), X4
	PAND    exceptFirst<>(SB), X4
	POR     X5, X4
	PSHUFB  X13, X4
	EIGHT
	ADDQ    $128, DX
	SUBQ    $7, CX

eight:
	CMPQ   CX, $8
	JB     one
	MOVOU  (DX), X4
	PSHUFB X13, X4
	PXOR   X4, X0
	MOVOU  16(DX), X4
	PSHUFB X13, X4
	EIGHT
	ADDQ   $128, DX
	SUBQ   $8, CX
	JMP    eight

one:
	TESTQ  CX, CX
	JZ     last
	MOVOU  (DX), X4
	PSHUFB X13, X4
	PXOR   X0, X4
	MOVOU  POWER(1), X6
	PRODUCT(X4, X6, X5, X1, X2, X3)
	REDUCE(X1, X2, X3, X14, X5)
	MOVO   X3, X0
	ADDQ   $16, DX
	DECQ   CX
	JMP    one

last:
	MOVOU  16(R8), X4
	PSHUFB X13, X4
	MOVOU  POWER(1), X6
	PRODUCT(X4, X6, X5, X1, X2, X3)
	MOVOU  (R8), X4
	PSHUFB X13, X4
	PXOR   X0, X4
	MOVOU  POWER(2), X6
	ADD_PRODUCT(X4, X6, X5, X7, X1, X2, X3)
	REDUCE(X1, X2, X3, X14, X5)
	PSHUFB X13, X3
	MOVOU  kernel_tweakEnd(DI), X4
	PXOR   X4, X3
	MOVOU  X3, (SI)
	CLEAR_LOW
	RET

// STREAM_ROUND is round r on eight blocks.
#define STREAM_ROUND(r) \
	MOVOU  16+ROUND_KB(r), X8 \
	AESENC X8, X0 \
	AESENC X8, X1 \
	AESENC X8, X2 \
	AESENC X8, X3 \
	AESENC X8, X4 \
	AESENC X8, X5 \
	AESENC X8, X6 \
	AESENC X8, X7

// COUNTER puts the counter into b, big-endian and with round key 0, and counts.
#define COUNTER(b) \
	MOVO   X14, b  \
	PSHUFB X13, b  \
	PXOR   X8, b   \
	PADDQ  X12, X14

// OUTPUT ends the last round of b and xors it into the next block, and leaves
// after the last one.
#define OUTPUT(b) \
	AESENCLAST X8, b     \
	MOVOU      (DX), X9  \
	PXOR       b, X9     \
	MOVOU      X9, (DX)  \
	ADDQ       $16, DX   \
	DECQ       CX        \
	JZ         done

// func streamAESNI(k *kernel, high, low uint64, dst *byte, blocks int)
//
// Eight blocks a step; at the end some of the eight may be computed in vain.
//
//	DI  kernel    X0 ... X7  blocks         X12  1
//	DX  dst       X8         round key      X13  reversal
//	CX  blocks    X9         scratch        X14  counter, little-endian
//	R8  rounds    R9         last round's key
TEXT ·streamAESNI(SB), NOSPLIT, $0-40
	MOVQ   k+0(FP), DI
	MOVQ   dst+24(FP), DX
	MOVQ   blocks+32(FP), CX
	TESTQ  CX, CX
	JZ     done
	MOVQ   kernel_rounds(DI), R8
	MOVQ   R8, R9
	SHLQ   $5, R9
	LEAQ   (kernel_round+16)(DI)(R9*1), R9
	MOVOU  reverseBytes<>(SB), X13
	MOVQ   $1, AX
	MOVQ   AX, X12
	MOVQ   high+8(FP), X9
	MOVQ   low+16(FP), X14
	PUNPCKLQDQ X9, X14

eight:
	MOVOU 16+ROUND_KB(0), X8
	COUNTER(X0)
	COUNTER(X1)
	COUNTER(X2)
	COUNTER(X3)
	COUNTER(X4)
	COUNTER(X5)
	COUNTER(X6)
	COUNTER(X7)
	STREAM_ROUND(1)
	STREAM_ROUND(2)
	STREAM_ROUND(3)
	STREAM_ROUND(4)
	STREAM_ROUND(5)
	STREAM_ROUND(6)
	STREAM_ROUND(7)
	STREAM_ROUND(8)
	STREAM_ROUND(9)
	CMPQ  R8, $10
	JE    output
	STREAM_ROUND(10)
	STREAM_ROUND(11)
	STREAM_ROUND(12)
	STREAM_ROUND(13)

output:
	MOVOU (R9), X8
	OUTPUT(X0)
	OUTPUT(X1)
	OUTPUT(X2)
	OUTPUT(X3)
	OUTPUT(X4)
	OUTPUT(X5)
	OUTPUT(X6)
	OUTPUT(X7)
	JMP   eight

done:
	CLEAR_LOW
	RET
