// SPDX-License-Identifier: BSD-3-Clause

package committee

// Size returns K, the number of seats that so many eligible relays fill at most:
// min(most, eligible). Seat caps can leave seats empty, so that the K of a list is
// the number of relays that Draw returned. Spec: directory §6.
func Size(eligible, most int) int { return max(0, min(eligible, most)) }

// Matching returns M = floor(K/2)+1, the number of votes, equal byte for byte, that
// change something in the table. With fewer than half of the seats nobody changes
// anything. Spec: directory §6, protocol (COM-3).
func Matching(k int) int { return k/2 + 1 }

// Quorum returns Q = floor(2K/3)+1, the number of signatures that make a snapshot
// final. Two finals in one epoch need 2Q-K members that sign both.
// Spec: directory §6, protocol (COM-3).
func Quorum(k int) int { return 2*k/3 + 1 }
