// SPDX-License-Identifier: BSD-3-Clause

package draws

import "math"

// logChoose returns ln(n over k).
func logChoose(n, k int) float64 {
	a, _ := math.Lgamma(float64(n + 1))
	b, _ := math.Lgamma(float64(k + 1))
	c, _ := math.Lgamma(float64(n - k + 1))
	return a - b - c
}

// binomial returns the chance of exactly k of n.
func binomial(n, k int, p float64) float64 {
	switch {
	case k < 0 || k > n:
		return 0
	case p <= 0 || p >= 1:
		if (p <= 0) == (k == 0) && (p >= 1) == (k == n) {
			return 1
		}
		return 0
	}
	return math.Exp(logChoose(n, k) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
}

// atLeast returns the chance of k or more of n.
func atLeast(n, k int, p float64) float64 {
	var sum float64
	for i := n; i >= max(k, 0); i-- {
		sum += binomial(n, i, p)
	}
	return min(sum, 1)
}

// withoutReturn returns the chance of k or more hostile ones when count of n relays are
// drawn, none twice, of which bad are hostile.
func withoutReturn(n, bad, count, k int) float64 {
	var sum float64
	for i := k; i <= min(count, bad); i++ {
		sum += math.Exp(logChoose(bad, i) + logChoose(n-bad, count-i) - logChoose(n, count))
	}
	return sum
}

// expected returns the smallest and the largest count of n trials that a 95 % test
// accepts for a chance of p each: below and above lie 2.5 % at most.
func expected(n int, p float64) (low, high int) {
	var sum float64
	low, high = 0, n
	for k := range n + 1 {
		sum += binomial(n, k, p)
		if sum <= 0.025 {
			low = k + 1
		}
		if sum >= 0.975 {
			return low, k
		}
	}
	return low, high
}

// distance returns Kolmogorov's distance between counts of a value and the binomial
// distribution of n seats.
func distance(counts []int, n int, p float64) float64 {
	var total, seen int
	for _, c := range counts {
		total += c
	}
	var sum, most float64
	for k, c := range counts {
		seen += c
		sum += binomial(n, k, p)
		most = max(most, math.Abs(float64(seen)/float64(total)-sum))
	}
	return most
}
