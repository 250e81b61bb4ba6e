// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// What is no value with a unit.
var (
	ErrRate     = errors.New("config: a rate is a number with a unit, such as 2 MiB/s or 20 Mbit/s")
	ErrSize     = errors.New("config: a size is a number with a unit, such as 200 GiB")
	ErrDuration = errors.New("config: a duration is a number with a unit, such as 90s, 10m or 7d")
)

// unit is a unit of data in bits.
type unit struct {
	name string
	bits float64
}

// units of data, those of bytes first and the larger ones behind the smaller.
var units = [...]unit{
	{"B", 8},
	{"kB", 8e3}, {"KiB", 8 << 10}, {"MB", 8e6}, {"MiB", 8 << 20},
	{"GB", 8e9}, {"GiB", 8 << 30}, {"TB", 8e12}, {"TiB", 8 << 40},
	{"kbit", 1e3}, {"Mbit", 1e6}, {"Gbit", 1e9},
}

// byteUnits is how many of units are of bytes.
const byteUnits = 9

const (
	maxRate = 1e15    // bits per second: above what any machine has
	maxSize = 8 << 60 // bits: what a quota or a disk never has
)

// ParseRate reads a rate and returns it in bits per second. A bare number is
// refused, as nobody could tell bits from bytes. Error: ErrRate.
// Spec: product CFG-2.
func ParseRate(text string) (bitsPerSecond uint64, err error) {
	text, isRate := strings.CutSuffix(strings.TrimSpace(text), "/s")
	bits, ok := parseUnit(text, units[:], maxRate)
	if !isRate || !ok {
		return 0, ErrRate
	}
	return bits, nil
}

// RateHint says what a text that is no rate may have been meant as, where its unit is one
// that people write for bits as well as for bytes, such as Mb/s or Mbps; empty: it is none
// of these. Nobody is left to guess between them: they differ by a factor of eight.
func RateHint(text string) string {
	text = strings.TrimSpace(text)
	split := strings.LastIndexAny(text, "0123456789.") + 1
	unit := strings.TrimSpace(text[split:])
	n, err := strconv.ParseFloat(text[:split], 64)
	for _, end := range []string{"/s", "ps", "/sec"} {
		unit = strings.TrimSuffix(unit, end)
	}
	if len(unit) < 2 || err != nil || n <= 0 || math.IsNaN(n) {
		return ""
	}
	large := strings.ToUpper(unit[:1])
	switch rest := strings.ToLower(strings.TrimPrefix(unit[1:], "i")); {
	case rest != "b" && rest != "bit" && rest != "bits" && rest != "byte" && rest != "bytes", !strings.Contains("KMG", large):
		return ""
	}
	asBits := text[:split] + " " + map[string]string{"K": "kbit/s", "M": "Mbit/s", "G": "Gbit/s"}[large]
	asBytes := text[:split] + " " + large + "iB/s"
	bits, wrong := ParseRate(asBits)
	more, wrongToo := ParseRate(asBytes)
	if wrong != nil || wrongToo != nil {
		return ""
	}
	return "A byte is 8 bits: write " + strconv.Quote(asBits) + " if bits are meant, as providers count (that is " + Rate(bits/8).About() + "), or " +
		strconv.Quote(asBytes) + " if bytes are (" + strconv.FormatFloat(float64(more)/map[string]float64{"K": 1e3, "M": 1e6, "G": 1e9}[large], 'f', 2, 64) +
		" " + strings.Fields(asBits)[1] + ")."
}

// parseUnit reads a number with a unit of data, in bits.
func parseUnit(text string, known []unit, most float64) (bits uint64, ok bool) {
	text = strings.TrimSpace(text)
	split := strings.LastIndexAny(text, "0123456789.") + 1
	n, err := strconv.ParseFloat(text[:split], 64)
	if err != nil || math.IsNaN(n) || n < 0 {
		return 0, false
	}
	name := strings.TrimSpace(text[split:])
	for _, u := range known {
		// Case is forgiven but in B: 2 mb/s may be meant as bits, and is eight times that as bytes.
		same := strings.EqualFold(u.name, name) && strings.Contains(u.name, "B") == strings.Contains(name, "B")
		if bits := n * u.bits; same && bits <= most {
			return uint64(bits), true
		}
	}
	return 0, false
}

// Size is a size in bytes.
type Size uint64

// ParseSize reads a size with its unit. Error: ErrSize. Spec: product CFG-2.
func ParseSize(text string) (Size, error) {
	bits, ok := parseUnit(text, units[:byteUnits], maxSize)
	if !ok {
		return 0, ErrSize
	}
	return Size(bits / 8), nil
}

// String writes the size as ParseSize reads it, exactly.
func (s Size) String() string {
	best := units[0]
	for _, u := range units[:byteUnits] {
		if s != 0 && uint64(s)%(uint64(u.bits)/8) == 0 {
			best = u
		}
	}
	return strconv.FormatUint(uint64(s)/(uint64(best.bits)/8), 10) + " " + best.name
}

// Rate is a rate in bytes per second.
type Rate uint64

// String writes the rate as ParseRate reads it, exactly.
func (r Rate) String() string { return Size(r).String() + "/s" }

// About writes the size for a person, in three figures and binary units: 1.95 MiB.
// ParseSize reads it too. Spec: product CFG-2.
func (s Size) About() string {
	n, name := float64(s), "B"
	for _, u := range [...]string{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"} {
		if math.Round(n) < 1024 {
			break
		}
		n, name = n/1024, u
	}
	digits := 2
	switch {
	case name == "B" || n >= 99.95:
		digits = 0
	case n >= 9.995:
		digits = 1
	}
	text := strconv.FormatFloat(n, 'f', digits, 64)
	if digits > 0 {
		text = strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
	}
	return text + " " + name
}

// About writes the rate for a person, as Size.About does. What this project's formats
// count in kbit/s is told so too: nobody should have to convert.
func (r Rate) About() string { return Size(r).About() + "/s" }

// Kbit is a rate in kbit/s, as the directory counts.
func Kbit(kbit uint32) Rate { return Rate(kbit) * 125 }

// ParseDuration reads a duration with its unit: as Go writes it, with spaces, or in
// days. It is not negative. Error: ErrDuration. Spec: product CFG-2.
func ParseDuration(text string) (time.Duration, error) {
	text = strings.ReplaceAll(text, " ", "")
	if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, ErrDuration
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || text == "0" {
		return 0, ErrDuration
	}
	return d, nil
}

// durationText writes a duration as ParseDuration reads it, without zero parts.
func durationText(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

var weekdays = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// isStart reports whether a text says when periods begin: "15:00" for a day, "mon 15:00"
// for a week, "1 15:00" for a month. The day or the time may be missing, and auto is
// midnight of the first day.
func isStart(period, text string) bool {
	words := strings.Fields(strings.ToLower(text))
	if text == string(Auto) {
		return true
	}
	days := 0
	if len(words) > 0 && period != "day" && !strings.Contains(words[0], ":") {
		n, err := strconv.ParseUint(words[0], 10, 8)
		if period == "week" && !slices.Contains(weekdays, words[0]) || period == "month" && (err != nil || n < 1 || n > 31) {
			return false
		}
		days = 1
	}
	if len(words) == days+1 {
		_, err := time.Parse("15:04", words[days])
		return err == nil
	}
	return len(words) == days && days == 1
}

// StartText is the start of the periods without a word for the usual one, which is
// empty.
func (a Accounting) StartText() string {
	if a.Start == string(Auto) {
		return ""
	}
	return a.Start
}

// startExample is a start for a period.
func startExample(period string) string {
	switch period {
	case "day":
		return "06:00"
	case "week":
		return "mon 06:00"
	}
	return "1 06:00"
}
