// SPDX-License-Identifier: BSD-3-Clause

// Package measure takes figures of running processes: processor time and memory
// from /proc, bytes of connections from the kernel's socket table. It is no
// profiler, and it knows neither network under test. All functions may be called
// from several goroutines. Processes can be read on Linux only; elsewhere
// ErrUnsupported says so.
package measure
