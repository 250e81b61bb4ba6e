// SPDX-License-Identifier: BSD-3-Clause

package transition

// must returns v. An error here would be one of our own: what is passed was made
// from what the rules have checked. Callers say why none can come.
func must[T any](v T, err error) T {
	if err != nil {
		panic("transition: a rule let through what it should not")
	}
	return v
}
