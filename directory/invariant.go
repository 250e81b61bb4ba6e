// SPDX-License-Identifier: BSD-3-Clause

package directory

// invariant panics when what holds by the rules of the packages below does not. No
// input can do that. Callers say why.
func invariant(holds bool) {
	if !holds {
		panic("directory: the member went where nobody led it")
	}
}
