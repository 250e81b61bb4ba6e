// SPDX-License-Identifier: BSD-3-Clause

package vote

import "chive/internal/strictcbor"

// must returns v. An error here would be one of our own: what is passed was made or
// checked before. Callers say why none can come.
func must[T any](v T, err error) T {
	if err != nil {
		panic("vote: what was checked before is refused")
	}
	return v
}

// marshal encodes numbers and byte strings, which always works.
func marshal(v any) []byte { return must(strictcbor.Marshal(v)) }
