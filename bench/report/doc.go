// SPDX-License-Identifier: BSD-3-Clause

// Package report puts what was measured into a table, JSON and a chart. It is
// pure: what it writes depends on its arguments alone. It knows the names, units
// and goals of the figures, and not how they are taken.
package report
