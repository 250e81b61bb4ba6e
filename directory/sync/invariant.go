// SPDX-License-Identifier: BSD-3-Clause

package sync

// invariant ends the program when our own rules are broken: an answer built here does
// not encode, or zstd refuses the options in the source.
func invariant(ok bool) {
	if !ok {
		panic("sync: broken invariant")
	}
}
