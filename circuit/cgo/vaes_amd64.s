// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

// Kernels in 256-bit registers, two blocks in each: VAES, VPCLMULQDQ, AVX2. See
// kernel_amd64.h for the arithmetic and blocks_amd64.s for what holds of all.

#include "go_asm.h"
#include "textflag.h"

// The block with its bytes reversed, in both lanes.
DATA reverseBytes2<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA reverseBytes2<>+8(SB)/8, $0x0001020304050607
DATA reverseBytes2<>+16(SB)/8, $0x08090a0b0c0d0e0f
DATA reverseBytes2<>+24(SB)/8, $0x0001020304050607
GLOBL reverseBytes2<>(SB), RODATA|NOPTR, $32

// c of the reduction in all four quarters.
DATA reduction2<>+0(SB)/8, $0xc200000000000000
DATA reduction2<>+8(SB)/8, $0xc200000000000000
DATA reduction2<>+16(SB)/8, $0xc200000000000000
DATA reduction2<>+24(SB)/8, $0xc200000000000000
GLOBL reduction2<>(SB), RODATA|NOPTR, $32

// The numbers 0 and 1: what the counters of two lanes differ by.
DATA zeroOne<>+0(SB)/8, $0
DATA zeroOne<>+8(SB)/8, $0
DATA zeroOne<>+16(SB)/8, $1
DATA zeroOne<>+24(SB)/8, $0
GLOBL zeroOne<>(SB), RODATA|NOPTR, $32

// The number 2 in both lanes.
DATA two2<>+0(SB)/8, $2
DATA two2<>+8(SB)/8, $0
DATA two2<>+16(SB)/8, $2
DATA two2<>+24(SB)/8, $0
GLOBL two2<>(SB), RODATA|NOPTR, $32

// H^n for n from 1 to 8.
#define POWER(n) (kernel_powers+16*(10-n))(DI)

// PRODUCT is x times p, without reduction, in Y2 (LO), Y3 (MID), Y4 (HI). f is
// FOLDED p.
#define PRODUCT(x, p, f) \
	VPSHUFD    $0x4e, x, Y5    \
	VPCLMULQDQ $0x00, p, x, Y2 \
	VPCLMULQDQ $0x11, p, x, Y4 \
	VPXOR      x, Y5, Y5       \
	VPCLMULQDQ $0x00, f, Y5, Y3

// ADD_PRODUCT adds x times p to it.
#define ADD_PRODUCT(x, p, f) \
	VPSHUFD    $0x4e, x, Y5    \
	VPCLMULQDQ $0x00, p, x, Y6 \
	VPCLMULQDQ $0x11, p, x, Y7 \
	VPXOR      x, Y5, Y5       \
	VPCLMULQDQ $0x00, f, Y5, Y5 \
	VPXOR      Y6, Y2, Y2      \
	VPXOR      Y7, Y4, Y4      \
	VPXOR      Y5, Y3, Y3

// REDUCE leaves the result of each lane in Y0.
#define REDUCE \
	VPCLMULQDQ $0x00, Y14, Y2, Y5 \
	VPXOR      Y4, Y3, Y3         \
	VPXOR      Y2, Y3, Y3         \
	VPSHUFD    $0x4e, Y2, Y2      \
	VPXOR      Y2, Y3, Y3         \
	VPXOR      Y5, Y3, Y3         \
	VPCLMULQDQ $0x00, Y14, Y3, Y5 \
	VPSHUFD    $0x4e, Y3, Y3      \
	VPXOR      Y3, Y4, Y4         \
	VPXOR      Y5, Y4, Y0

// FOLDED is the xor of the halves of p, in both halves of f: Karatsuba's factor.
#define FOLDED(p, f) \
	VPSHUFD $0x4e, p, f \
	VPXOR   p, f, f

// INPUT is the two blocks at an offset of DX.
#define INPUT(offset, x) \
	VMOVDQU offset(DX), x \
	VPSHUFB Y13, x, x

// func hashVAES(k *kernel, out, chain *block, cell *byte, blocks int, last *lastBlocks)
//
// Horner's rule on two lanes, V = (V0, V1), of which one takes the blocks
// before the other's and both the same powers:
//
//	V = (V + (X1, X2)) H^8 + (X3, X4) H^6 + (X5, X6) H^4 + (X7, X8) H^2
//
// The lanes come together at the last two blocks, L1 and L2:
//
//	UH = (V0 + L1) H^2 + (V1 + L2) H
//
// With an odd number of blocks before those, a zero block comes first. The
// input of a step, V added, is in Y0 before it, and so is V behind it.
//
//	DI  kernel     Y0  V, V + input    Y5 ... Y7    scratch
//	SI  out        Y1  input           Y8           power of H
//	DX  input      Y2  LO              Y9 ... Y12   FOLDED H^8, H^6, H^4, H^2
//	CX  pairs      Y3  MID             Y13          order
//	    to come    Y4  HI              Y14          c of the reduction
//	R8  last
TEXT ·hashVAES(SB), NOSPLIT, $0-48
	MOVQ           k+0(FP), DI
	MOVQ           out+8(FP), SI
	MOVQ           chain+16(FP), R9
	MOVQ           cell+24(FP), DX
	MOVQ           blocks+32(FP), CX
	MOVQ           last+40(FP), R8
	VBROADCASTI128 POWER(8), Y1
	FOLDED(Y1, Y9)
	VBROADCASTI128 POWER(6), Y1
	FOLDED(Y1, Y10)
	VBROADCASTI128 POWER(4), Y1
	FOLDED(Y1, Y11)
	VBROADCASTI128 POWER(2), Y1
	FOLDED(Y1, Y12)
	VBROADCASTI128 kernel_order(DI), Y13
	VMOVDQU        reduction2<>(SB), Y14

	// X0 is chain, X1 the first whole block with the command.
	MOVBLZX (DX), AX
	VMOVDQU (R9), X0
	VMOVDQU 16(DX), X1
	VPINSRB $0, AX, X1, X1
	TESTQ   $1, CX
	JZ      odd

	// (chain, first)
	VINSERTI128 $1, X1, Y0, Y0
	VPSHUFB     Y13, Y0, Y0
	ADDQ        $32, DX
	INCQ        CX
	JMP         pairs

odd:
	// (0, chain) H^2 + (first, second)
	VPXOR          Y2, Y2, Y2
	VINSERTI128    $1, X0, Y2, Y0
	VINSERTI128    $1, 32(DX), Y1, Y1
	VPSHUFB        Y13, Y0, Y0
	VPSHUFB        Y13, Y1, Y1
	VBROADCASTI128 POWER(2), Y8
	PRODUCT(Y0, Y8, Y12)
	REDUCE
	VPXOR          Y1, Y0, Y0
	ADDQ           $48, DX

pairs:
	SHRQ $1, CX // the one in Y0 among them

eight:
	CMPQ           CX, $4
	JB             two
	INPUT(0, Y1)
	VBROADCASTI128 POWER(6), Y8
	PRODUCT(Y1, Y8, Y10)
	INPUT(32, Y1)
	VBROADCASTI128 POWER(4), Y8
	ADD_PRODUCT(Y1, Y8, Y11)
	INPUT(64, Y1)
	VBROADCASTI128 POWER(2), Y8
	ADD_PRODUCT(Y1, Y8, Y12)
	VBROADCASTI128 POWER(8), Y8
	ADD_PRODUCT(Y0, Y8, Y9)
	REDUCE
	ADDQ           $96, DX
	SUBQ           $4, CX
	JZ             last
	INPUT(0, Y1)
	VPXOR          Y1, Y0, Y0
	ADDQ           $32, DX
	JMP            eight

two:
	VBROADCASTI128 POWER(2), Y8
	PRODUCT(Y0, Y8, Y12)
	REDUCE
	DECQ           CX
	JZ             last
	INPUT(0, Y1)
	VPXOR          Y1, Y0, Y0
	ADDQ           $32, DX
	JMP            two

last:
	VMOVDQU      POWER(2), Y8 // H^2, H
	FOLDED(Y8, Y9)
	VMOVDQU      (R8), Y1
	VPSHUFB      Y13, Y1, Y1
	VPXOR        Y1, Y0, Y0
	PRODUCT(Y0, Y8, Y9)
	REDUCE
	VEXTRACTI128 $1, Y0, X1
	VPXOR        X1, X0, X0
	VPSHUFB      X13, X0, X0
	VPXOR        kernel_tweakEnd(DI), X0, X0
	VMOVDQU      X0, (SI)
	VZEROALL // keys must not stay in registers that the system saves
	RET

// COUNTERS puts the counters of two blocks into b, big-endian and with round
// key 0, and counts.
#define COUNTERS(b) \
	VPSHUFB Y13, Y14, b   \
	VPXOR   Y8, b, b      \
	VPADDQ  Y12, Y14, Y14

// STREAM_ROUND is round r on sixteen blocks.
#define STREAM_ROUND(r) \
	VBROADCASTI128 (kernel_round+32*r+16)(DI), Y8 \
	VAESENC        Y8, Y0, Y0 \
	VAESENC        Y8, Y1, Y1 \
	VAESENC        Y8, Y2, Y2 \
	VAESENC        Y8, Y3, Y3 \
	VAESENC        Y8, Y4, Y4 \
	VAESENC        Y8, Y5, Y5 \
	VAESENC        Y8, Y6, Y6 \
	VAESENC        Y8, Y7, Y7

// OUTPUT ends the last round of b and xors it into blocks i and i + 1: the
// round key is xored to the text first.
#define OUTPUT(i, b) \
	VPXOR       (16*i)(DX), Y8, Y9 \
	VAESENCLAST Y9, b, b           \
	VMOVDQU     b, (16*i)(DX)

// OUTPUT_SOME is OUTPUT of the next two blocks, if there are as many.
#define OUTPUT_SOME(b, lone) \
	CMPQ        CX, $2       \
	JB          lone         \
	VPXOR       (DX), Y8, Y9 \
	VAESENCLAST Y9, b, b     \
	VMOVDQU     b, (DX)      \
	ADDQ        $32, DX      \
	SUBQ        $2, CX

// OUTPUT_ONE is OUTPUT of the last block, if there is one.
#define OUTPUT_ONE(b) \
	TESTQ       CX, CX       \
	JZ          done         \
	VPXOR       (DX), X8, X9 \
	VAESENCLAST X9, b, b     \
	VMOVDQU     b, (DX)      \
	JMP         done

// func streamVAES(k *kernel, high, low uint64, dst *byte, blocks int)
//
// Sixteen blocks a step, as many as keep two AES units busy whose results take
// four cycles; at the end some of the sixteen may be computed in vain.
//
//	DI  kernel    Y0 ... Y7  blocks         Y12  2
//	DX  dst       Y8         round key      Y13  reversal
//	CX  blocks    Y9         scratch        Y14  counters, little-endian
//	R8  rounds    R9         last round's key
TEXT ·streamVAES(SB), NOSPLIT, $0-40
	MOVQ           k+0(FP), DI
	MOVQ           dst+24(FP), DX
	MOVQ           blocks+32(FP), CX
	TESTQ          CX, CX
	JZ             done
	MOVQ           kernel_rounds(DI), R8
	MOVQ           R8, R9
	SHLQ           $5, R9
	LEAQ           (kernel_round+16)(DI)(R9*1), R9
	VMOVDQU        reverseBytes2<>(SB), Y13
	VMOVDQU        two2<>(SB), Y12
	VMOVQ          low+16(FP), X14
	VPINSRQ        $1, high+8(FP), X14, X14
	VINSERTI128    $1, X14, Y14, Y14
	VPADDQ         zeroOne<>(SB), Y14, Y14

sixteen:
	VBROADCASTI128 (kernel_round+16)(DI), Y8
	COUNTERS(Y0)
	COUNTERS(Y1)
	COUNTERS(Y2)
	COUNTERS(Y3)
	COUNTERS(Y4)
	COUNTERS(Y5)
	COUNTERS(Y6)
	COUNTERS(Y7)
	STREAM_ROUND(1)
	STREAM_ROUND(2)
	STREAM_ROUND(3)
	STREAM_ROUND(4)
	STREAM_ROUND(5)
	STREAM_ROUND(6)
	STREAM_ROUND(7)
	STREAM_ROUND(8)
	STREAM_ROUND(9)
	CMPQ           R8, $10
	JE             output
	STREAM_ROUND(10)
	STREAM_ROUND(11)
	STREAM_ROUND(12)
	STREAM_ROUND(13)

output:
	VBROADCASTI128 (R9), Y8
	CMPQ           CX, $16
	JB             some
	OUTPUT(0, Y0)
	OUTPUT(2, Y1)
	OUTPUT(4, Y2)
	OUTPUT(6, Y3)
	OUTPUT(8, Y4)
	OUTPUT(10, Y5)
	OUTPUT(12, Y6)
	OUTPUT(14, Y7)
	ADDQ           $256, DX
	SUBQ           $16, CX
	JNZ            sixteen
	JMP            done

some:
	OUTPUT_SOME(Y0, lone0)
	OUTPUT_SOME(Y1, lone1)
	OUTPUT_SOME(Y2, lone2)
	OUTPUT_SOME(Y3, lone3)
	OUTPUT_SOME(Y4, lone4)
	OUTPUT_SOME(Y5, lone5)
	OUTPUT_SOME(Y6, lone6)
	OUTPUT_ONE(X7)

lone0:
	OUTPUT_ONE(X0)

lone1:
	OUTPUT_ONE(X1)

lone2:
	OUTPUT_ONE(X2)

lone3:
	OUTPUT_ONE(X3)

lone4:
	OUTPUT_ONE(X4)

lone5:
	OUTPUT_ONE(X5)

lone6:
	OUTPUT_ONE(X6)

done:
	VZEROALL // keys must not stay in registers that the system saves
	RET
