// SPDX-License-Identifier: BSD-3-Clause

// What the kernels in 128-bit registers share.
//
// # Multiplication
//
// A block is a polynomial over GF(2) with the coefficient of x^0 in the lowest
// bit of the register. The product of the field is
//
//	a . b = a * b * x^-128  modulo  p = x^128 + x^127 + x^126 + x^121 + 1
//
// (RFC 8452 §3). Carry-less products of 64-bit halves are summed without
// reduction in three registers, LO + MID x^64 + HI x^128, over as many blocks
// as belong to different powers of H (Gueron and Kounavis, "Intel Carry-Less
// Multiplication Instruction and its Usage for Computing the GCM Mode",
// aggregated reduction), then divided by x^128 in two steps of x^64.
//
// Lemma of a step: p = 1 + c x^64 + x^128 with c = x^57 + x^62 + x^63. Let l be
// the low 64 coefficients of A. Then A + l p equals A modulo p, its low 64
// coefficients are zero, and
//
//	(A + l p) / x^64 = (A >> 64) + l c + l x^64
//
// (A >> 64) + l x^64 is A with its halves exchanged, so that a step is one
// carry-less product with c, one shuffle and two xors. Twice: of LO into MID,
// of MID into HI. HI is then the result, below x^128.

// Offsets in kernel: round key r of KB is at 32*r, of K at 32*r + 16.
#define ROUND_KB(r) (kernel_round+32*r)(DI)
#define POWER(n) (kernel_powers+16*(10-(n)))(DI) // H^n, n from 1 to 8
#define POWER12 (kernel_powers+16)(DI)
#define POWER16 (kernel_powers+0)(DI)

// PRODUCT is x times p without reduction; MID still lacks LO and HI, because
// the middle is (x0 + x1) (p0 + p1) - x0 p0 - x1 p1 (Karatsuba). x is lost.
#define PRODUCT(x, p, t, LO, MID, HI) \
	PSHUFD    $0x4e, x, MID  \
	PSHUFD    $0x4e, p, t    \
	PXOR      x, MID         \
	PXOR      p, t           \
	MOVO      x, LO          \
	PCLMULQDQ $0x00, p, LO   \
	MOVO      x, HI          \
	PCLMULQDQ $0x11, p, HI   \
	PCLMULQDQ $0x00, t, MID

// ADD_PRODUCT adds x times p to that. x and p are lost.
#define ADD_PRODUCT(x, p, t, u, LO, MID, HI) \
	PSHUFD    $0x4e, x, t    \
	PSHUFD    $0x4e, p, u    \
	PXOR      x, t           \
	PXOR      p, u           \
	PCLMULQDQ $0x00, t, u    \
	MOVO      x, t           \
	PCLMULQDQ $0x00, p, t    \
	PCLMULQDQ $0x11, p, x    \
	PXOR      u, MID         \
	PXOR      t, LO          \
	PXOR      x, HI

// REDUCE leaves the result in HI: see the lemma above. c is its constant.
#define REDUCE(LO, MID, HI, c, t) \
	MOVO      LO, t         \
	PCLMULQDQ $0x00, c, t   \
	PXOR      HI, MID       \
	PXOR      LO, MID       \
	PSHUFD    $0x4e, LO, LO \
	PXOR      LO, MID       \
	PXOR      t, MID        \
	MOVO      MID, t        \
	PCLMULQDQ $0x00, c, t   \
	PSHUFD    $0x4e, MID, MID \
	PXOR      MID, HI       \
	PXOR      t, HI

// CLEAR_LOW clears X0 ... X14: keys must not stay in registers that the system
// saves. The ABI's X15 is zero anyway.
#define CLEAR_LOW \
	PXOR X0, X0   \
	PXOR X1, X1   \
	PXOR X2, X2   \
	PXOR X3, X3   \
	PXOR X4, X4   \
	PXOR X5, X5   \
	PXOR X6, X6   \
	PXOR X7, X7   \
	PXOR X8, X8   \
	PXOR X9, X9   \
	PXOR X10, X10 \
	PXOR X11, X11 \
	PXOR X12, X12 \
	PXOR X13, X13 \
	PXOR X14, X14
