// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

// Kernels in 512-bit registers, four blocks in each: VAES, VPCLMULQDQ, AVX-512
// F, BW, DQ. See kernel_amd64.h for the arithmetic and blocks_amd64.s for what
// holds of all. VPTERNLOGQ with $0x96 is the xor of three.

#include "go_asm.h"
#include "textflag.h"

// The block with its bytes reversed.
DATA reverseBytes<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverseBytes<>+8(SB)/8, $0x0001020304050607
GLOBL reverseBytes<>(SB), RODATA|NOPTR, $16

// c of the reduction, in both halves.
DATA reduction<>+0(SB)/8, $0xc200000000000000
DATA reduction<>+8(SB)/8, $0xc200000000000000
GLOBL reduction<>(SB), RODATA|NOPTR, $16

// The numbers 0 ... 3: what the counters of four lanes differ by.
DATA zeroToThree<>+0(SB)/8, $0
DATA zeroToThree<>+8(SB)/8, $0
DATA zeroToThree<>+16(SB)/8, $1
DATA zeroToThree<>+24(SB)/8, $0
DATA zeroToThree<>+32(SB)/8, $2
DATA zeroToThree<>+40(SB)/8, $0
DATA zeroToThree<>+48(SB)/8, $3
DATA zeroToThree<>+56(SB)/8, $0
GLOBL zeroToThree<>(SB), RODATA|NOPTR, $64

// The number 4.
DATA four<>+0(SB)/8, $4
DATA four<>+8(SB)/8, $0
GLOBL four<>(SB), RODATA|NOPTR, $16

// PRODUCT is x times p, without reduction, in LO, MID, HI. f is FOLDED p.
#define PRODUCT(x, p, f, LO, MID, HI) \
	VPSHUFD    $0x4e, x, Z5     \
	VPCLMULQDQ $0x00, p, x, LO  \
	VPCLMULQDQ $0x11, p, x, HI  \
	VPXORQ     x, Z5, Z5        \
	VPCLMULQDQ $0x00, f, Z5, MID

// THREE is the products of three inputs and the powers beside them, in Z9 (LO),
// Z10 (MID), Z11 (HI). BETWEEN1 ... BETWEEN3 go behind the loads.
#define THREE(offset, BETWEEN1, BETWEEN2, BETWEEN3) \
	INPUT((offset), Z1)                    \
	BETWEEN1                               \
	PRODUCT(Z1, Z17, Z21, Z9, Z10, Z11)    \
	INPUT((offset+64), Z1)                 \
	BETWEEN2                               \
	PRODUCT(Z1, Z18, Z22, Z6, Z7, Z8)      \
	INPUT((offset+128), Z1)                \
	BETWEEN3                               \
	PRODUCT(Z1, Z19, Z23, Z27, Z28, Z29)   \
	VPTERNLOGQ $0x96, Z6, Z27, Z9          \
	VPTERNLOGQ $0x96, Z7, Z28, Z10         \
	VPTERNLOGQ $0x96, Z8, Z29, Z11

// FOURTH is that of Z0 and those three in Z2, Z3, Z4.
#define FOURTH \
	PRODUCT(Z0, Z16, Z20, Z2, Z3, Z4) \
	VPXORQ Z9, Z2, Z2                 \
	VPXORQ Z10, Z3, Z3                \
	VPXORQ Z11, Z4, Z4

// REDUCE is the two steps from Z2 (LO), Z3 (MID), Z4 (HI) to the result of each
// lane in Z0.
#define REDUCE \
	REDUCE_FIRST  \
	REDUCE_SECOND \
	REDUCE_END

#define REDUCE_FIRST \
	VPCLMULQDQ $0x00, Z14, Z2, Z26 \
	VPTERNLOGQ $0x96, Z2, Z4, Z3   \
	VPSHUFD    $0x4e, Z2, Z2

#define REDUCE_SECOND \
	VPTERNLOGQ $0x96, Z26, Z2, Z3  \
	VPCLMULQDQ $0x00, Z14, Z3, Z26 \
	VPSHUFD    $0x4e, Z3, Z0

#define REDUCE_END \
	VPTERNLOGQ $0x96, Z26, Z4, Z0

#define NOTHING

// FOLDED is the xor of the halves of p, in both halves of f: Karatsuba's factor.
#define FOLDED(p, f) \
	VPSHUFD $0x4e, p, f \
	VPXORQ  p, f, f

// INPUT is the four blocks at an offset of DX.
#define INPUT(offset, x) \
	VMOVDQU64 offset(DX), x \
	VPSHUFB   Z13, x, x

// CLEAR clears every register: keys must not stay in those that the system saves,
// and nothing else uses the upper sixteen, so that they would stay for long.
#define CLEAR \
	VZEROALL             \
	VPXORQ Z16, Z16, Z16 \
	VPXORQ Z17, Z17, Z17 \
	VPXORQ Z18, Z18, Z18 \
	VPXORQ Z19, Z19, Z19 \
	VPXORQ Z20, Z20, Z20 \
	VPXORQ Z21, Z21, Z21 \
	VPXORQ Z22, Z22, Z22 \
	VPXORQ Z23, Z23, Z23 \
	VPXORQ Z24, Z24, Z24 \
	VPXORQ Z25, Z25, Z25 \
	VPXORQ Z26, Z26, Z26 \
	VPXORQ Z27, Z27, Z27 \
	VPXORQ Z28, Z28, Z28 \
	VPXORQ Z29, Z29, Z29 \
	VPXORQ Z30, Z30, Z30 \
	VPXORQ Z31, Z31, Z31

// func hashAVX512(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)
//
// Horner's rule on four lanes, V = (V0 ... V3), as in hashVAES:
//
//	V = (V + (X1 ... X4)) H^16 + (X5 ... X8) H^12 + (X9 ... X12) H^8 + (X13 ... X16) H^4
//
// The lanes come together with the last two whole blocks M1, M2 and the two
// behind them:
//
//	UH = (V0 + M1) H^4 + (V1 + M2) H^3 + (V2 + L1) H^2 + (V3 + L2) H
//
// What is in front of those is filled up to fours with zero blocks at the start.
//
//	DI  kernel     Z0  V, V + input      Z16 ... Z19  H^16, H^12, H^8, H^4
//	SI  out        Z1  input             Z20 ... Z23  FOLDED of these
//	DX  input      Z2  LO                Z24, Z25     H^4 ... H^1, and FOLDED
//	CX  fours      Z3  MID               Z13          order
//	    to come    Z4  HI                Z14          c of the reduction
//	R8  last       Z9 ... Z11  sums of   K1           lanes of the first blocks
//	                   the next step     Z5 ... Z8, Z26 ... Z29  scratch
TEXT ·hashAVX512(SB), NOSPLIT, $0-48
	MOVQ            k+0(FP), DI
	MOVQ            out+8(FP), SI
	MOVQ            chain+16(FP), R9
	MOVQ            cell+24(FP), DX
	MOVQ            blocks+32(FP), AX
	MOVQ            last+40(FP), R8
	VBROADCASTI32X4 (kernel_powers+0)(DI), Z16
	VBROADCASTI32X4 (kernel_powers+16)(DI), Z17
	VBROADCASTI32X4 (kernel_powers+32)(DI), Z18
	VBROADCASTI32X4 (kernel_powers+96)(DI), Z19
	VMOVDQU64       (kernel_powers+96)(DI), Z24
	VBROADCASTI32X4 kernel_order(DI), Z13
	VBROADCASTI32X4 reduction<>(SB), Z14
	FOLDED(Z16, Z20)
	FOLDED(Z17, Z21)
	FOLDED(Z18, Z22)
	FOLDED(Z19, Z23)
	FOLDED(Z24, Z25)

	// The four first blocks: chain, one with the command, two more.
	MOVBLZX      (DX), BX
	VMOVDQU      (R9), X1
	VMOVDQU      16(DX), X12
	VPINSRB      $0, BX, X12, X12
	VINSERTI128  $1, X12, Y1, Y1
	VINSERTI64X4 $1, 32(DX), Z1, Z1
	VPSHUFB      Z13, Z1, Z1

	// As many of them as there are blocks too many for fours, 1 ... 4 = R9, go to
	// the upper lanes, which are the quarters from 8 - 2*R9 on. Two blocks are
	// kept for the end.
	SUBQ        $2, AX
	MOVQ        AX, R9
	ANDQ        $3, R9
	INCQ        R9
	MOVL        $8, CX
	SUBL        R9, CX
	SUBL        R9, CX
	MOVL        $0xff, BX
	SHLL        CX, BX
	KMOVB       BX, K1
	VPEXPANDQ.Z Z1, K1, Z0
	SHLQ        $4, R9
	ADDQ        R9, DX
	MOVQ        AX, CX
	SHRQ        $2, CX
	INCQ        CX // the one in Z0 among them
	TESTQ       $3, AX
	JNZ         start

	// Of chain alone: the command is still to come.
	PRODUCT(Z0, Z19, Z23, Z2, Z3, Z4)
	REDUCE
	VMOVDQU64    (DX), Z1
	VINSERTI32X4 $0, X12, Z1, Z1
	VPSHUFB      Z13, Z1, Z1
	VPXORQ       Z1, Z0, Z0
	ADDQ         $64, DX
	DECQ         CX

start:
	CMPQ CX, $4
	JB   four
	THREE(0, NOTHING, NOTHING, NOTHING)
	FOURTH
	ADDQ $192, DX
	SUBQ $4, CX

sixteen:
	// The reduction of the step before goes side by side with the products that
	// do not wait for it.
	CMPQ   CX, $4
	JB     reduced
	THREE(64, REDUCE_FIRST, REDUCE_SECOND, REDUCE_END)
	INPUT(0, Z1)
	VPXORQ Z1, Z0, Z0
	FOURTH
	ADDQ   $256, DX
	SUBQ   $4, CX
	JMP    sixteen

reduced:
	REDUCE
	TESTQ  CX, CX
	JZ     last
	INPUT(0, Z1)
	VPXORQ Z1, Z0, Z0
	ADDQ   $64, DX

four:
	PRODUCT(Z0, Z19, Z23, Z2, Z3, Z4)
	REDUCE
	DECQ   CX
	JZ     last
	INPUT(0, Z1)
	VPXORQ Z1, Z0, Z0
	ADDQ   $64, DX
	JMP    four

last:
	VMOVDQU       (DX), Y1
	VINSERTI64X4  $1, (R8), Z1, Z1
	VPSHUFB       Z13, Z1, Z1
	VPXORQ        Z1, Z0, Z0
	PRODUCT(Z0, Z24, Z25, Z2, Z3, Z4)
	REDUCE
	VEXTRACTI64X4 $1, Z0, Y1
	VPXOR         Y1, Y0, Y0
	VEXTRACTI128  $1, Y0, X1
	VPXOR         X1, X0, X0
	VPSHUFB       X13, X0, X0
	VPXOR         kernel_tweakEnd(DI), X0, X0
	VMOVDQU       X0, (SI)
	CLEAR
	RET

// COUNTERS puts the counters of four blocks into b, big-endian and with round
// key 0, and counts.
#define COUNTERS(b) \
	VPSHUFB Z13, Z14, b   \
	VPXORQ  Z16, b, b     \
	VPADDQ  Z12, Z14, Z14

// ROUND16 and ROUND32 are one round on so many blocks.
#define ROUND16(key) \
	VAESENC key, Z0, Z0 \
	VAESENC key, Z1, Z1 \
	VAESENC key, Z2, Z2 \
	VAESENC key, Z3, Z3

#define ROUND32(key) \
	ROUND16(key)        \
	VAESENC key, Z4, Z4 \
	VAESENC key, Z5, Z5 \
	VAESENC key, Z6, Z6 \
	VAESENC key, Z7, Z7

// ROUNDS are all but the last.
#define ROUNDS(ROUND, output) \
	ROUND(Z17)    \
	ROUND(Z18)    \
	ROUND(Z19)    \
	ROUND(Z20)    \
	ROUND(Z21)    \
	ROUND(Z22)    \
	ROUND(Z23)    \
	ROUND(Z24)    \
	ROUND(Z25)    \
	CMPQ R8, $10  \
	JE   output   \
	ROUND(Z26)    \
	ROUND(Z27)    \
	ROUND(Z28)    \
	ROUND(Z29)

// OUTPUT ends the last round of b and xors it into four blocks at an offset:
// the round key is xored to the text first.
#define OUTPUT(offset, b) \
	VPXORQ      offset(DX), Z30, Z8 \
	VAESENCLAST Z8, b, b            \
	VMOVDQU64   b, offset(DX)

// OUTPUT_SOME is OUTPUT of those blocks whose quarters have a bit in AX, which
// it shifts out. Nothing else is read or written.
#define OUTPUT_SOME(offset, b) \
	KMOVB       AX, K1                   \
	VPXORQ.Z    offset(DX), Z30, K1, Z8  \
	VAESENCLAST Z8, b, b                 \
	VMOVDQU64   b, K1, offset(DX)        \
	SHRQ        $8, AX

#define KEY(r, z) VBROADCASTI32X4 (kernel_round+32*r+16)(DI), z

// func streamAVX512(k *kernel, high, low uint64, dst *byte, blocks int)
//
// Thirty-two blocks a step, or sixteen when no more are left; at the end some
// may be computed in vain.
//
//	DI  kernel    Z0 ... Z7  blocks      Z12          4
//	DX  dst       Z8         scratch     Z13          reversal
//	CX  blocks                           Z14          counters, little-endian
//	R8  rounds    AX, K1     which of    Z16 ... Z29  round keys
//	                         the last    Z30          last round's key
TEXT ·streamAVX512(SB), NOSPLIT, $0-40
	MOVQ            k+0(FP), DI
	MOVQ            dst+24(FP), DX
	MOVQ            blocks+32(FP), CX
	TESTQ           CX, CX
	JZ              done
	MOVQ            kernel_rounds(DI), R8
	MOVQ            R8, R9
	SHLQ            $5, R9
	VBROADCASTI32X4 reverseBytes<>(SB), Z13
	VBROADCASTI32X4 four<>(SB), Z12
	VMOVQ           low+16(FP), X14
	VPINSRQ         $1, high+8(FP), X14, X14
	VSHUFI64X2      $0, Z14, Z14, Z14
	VPADDQ          zeroToThree<>(SB), Z14, Z14
	KEY(0, Z16)
	KEY(1, Z17)
	KEY(2, Z18)
	KEY(3, Z19)
	KEY(4, Z20)
	KEY(5, Z21)
	KEY(6, Z22)
	KEY(7, Z23)
	KEY(8, Z24)
	KEY(9, Z25)
	KEY(10, Z26)
	KEY(11, Z27)
	KEY(12, Z28)
	KEY(13, Z29)
	VBROADCASTI32X4 (kernel_round+16)(DI)(R9*1), Z30

next:
	CMPQ CX, $16
	JBE  sixteen
	COUNTERS(Z0)
	COUNTERS(Z1)
	COUNTERS(Z2)
	COUNTERS(Z3)
	COUNTERS(Z4)
	COUNTERS(Z5)
	COUNTERS(Z6)
	COUNTERS(Z7)
	ROUNDS(ROUND32, output32)

output32:
	CMPQ CX, $32
	JB   some32
	OUTPUT(0, Z0)
	OUTPUT(64, Z1)
	OUTPUT(128, Z2)
	OUTPUT(192, Z3)
	OUTPUT(256, Z4)
	OUTPUT(320, Z5)
	OUTPUT(384, Z6)
	OUTPUT(448, Z7)
	ADDQ $512, DX
	SUBQ $32, CX
	JNZ  next
	JMP  done

some32:
	// 17 ... 31 blocks: the first 16 are whole.
	OUTPUT(0, Z0)
	OUTPUT(64, Z1)
	OUTPUT(128, Z2)
	OUTPUT(192, Z3)
	MOVL $1, AX
	ADDL CX, CX
	SUBL $32, CX
	SHLL CX, AX
	DECL AX
	OUTPUT_SOME(256, Z4)
	OUTPUT_SOME(320, Z5)
	OUTPUT_SOME(384, Z6)
	OUTPUT_SOME(448, Z7)
	JMP  done

sixteen:
	COUNTERS(Z0)
	COUNTERS(Z1)
	COUNTERS(Z2)
	COUNTERS(Z3)
	ROUNDS(ROUND16, output16)

output16:
	MOVQ $1, AX
	ADDQ CX, CX
	SHLQ CX, AX
	DECQ AX
	OUTPUT_SOME(0, Z0)
	OUTPUT_SOME(64, Z1)
	OUTPUT_SOME(128, Z2)
	OUTPUT_SOME(192, Z3)

done:
	CLEAR
	RET
