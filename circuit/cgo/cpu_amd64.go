// SPDX-License-Identifier: BSD-3-Clause

//go:build !purego

package cgo

// level is a set of instructions. Each includes those before it.
type level int

const (
	levelNone   level = iota // less than any kernel needs
	levelAESNI               // AES-NI, PCLMULQDQ, SSSE3
	levelVAES                // VAES and VPCLMULQDQ on 256 bits, AVX2
	levelAVX512              // the same on 512 bits, AVX-512 F, BW, DQ
)

// assembly lists the implementations that this processor can run, fastest
// first.
func assembly() []implementation {
	var list []implementation
	highest := processor()
	for _, l := range []struct {
		level level
		name  string
	}{{levelAVX512, "AVX-512"}, {levelVAES, "VAES"}, {levelAESNI, "AES-NI"}} {
		if l.level <= highest {
			list = append(list, implementation{l.name, func() expanded { return &kernel{level: l.level} }})
		}
	}
	return list
}

// processor is the highest level of which the processor has all instructions
// and the operating system saves all registers.
func processor() level {
	const (
		// CPUID 1, ecx
		pclmulqdq = 1 << 1
		ssse3     = 1 << 9
		aesni     = 1 << 25
		osxsave   = 1 << 27
		avx       = 1 << 28
		// CPUID 7.0, ebx
		avx2     = 1 << 5
		avx512f  = 1 << 16
		avx512dq = 1 << 17
		avx512bw = 1 << 30
		// CPUID 7.0, ecx
		vaes       = 1 << 9
		vpclmulqdq = 1 << 10
		// XCR0
		xmm = 1 << 1
		ymm = 1 << 2
		zmm = 1<<5 | 1<<6 | 1<<7 // masks, upper halves, upper registers
	)
	has := func(flags, wanted uint32) bool { return flags&wanted == wanted }

	highest, _, _, _ := cpuid(0, 0)
	_, _, ecx1, _ := cpuid(1, 0)
	if !has(ecx1, pclmulqdq|ssse3|aesni) {
		return levelNone
	}
	if highest < 7 || !has(ecx1, osxsave|avx) || !has(xgetbv(), xmm|ymm) {
		return levelAESNI
	}
	_, ebx7, ecx7, _ := cpuid(7, 0)
	switch {
	case !has(ebx7, avx2) || !has(ecx7, vaes|vpclmulqdq):
		return levelAESNI
	case !has(ebx7, avx512f|avx512dq|avx512bw) || !has(xgetbv(), zmm):
		return levelVAES
	}
	return levelAVX512
}

func cpuid(leaf, subleaf uint32) (eax, ebx, ecx, edx uint32)

// xgetbv returns the low half of XCR0. Only where CPUID has OSXSAVE.
func xgetbv() uint32
