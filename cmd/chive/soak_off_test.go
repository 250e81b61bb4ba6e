// SPDX-License-Identifier: BSD-3-Clause

//go:build !soak

package main

// soak asks for runs that are too long for every day.
const soak = false
