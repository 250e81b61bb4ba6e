// SPDX-License-Identifier: BSD-3-Clause

package testutil

import "strings"

// ServiceName is a name that a service could have, of version 1, which begins with that
// letter: a to z, or 2 to 7. Nobody has its key, and its check is wrong.
func ServiceName(letter byte) string { return strings.Repeat(string(letter), 54) + "ab.chive.alt" }
