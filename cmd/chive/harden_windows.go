// SPDX-License-Identifier: BSD-3-Clause

package main

// harden has nothing to do: the state folder is in the user's own profile, and
// Windows writes no memory to disk unless asked.
func harden() {}
