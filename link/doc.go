// SPDX-License-Identifier: BSD-3-Clause

// Package link joins two neighbours over one byte stream.
package link
