// SPDX-License-Identifier: BSD-3-Clause

package limit

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

// Period is how long a quota lasts. All periods are UTC, so a day has 24 hours.
type Period byte

// Periods.
const (
	Month Period = iota // calendar months
	Week
	Day
)

// ParsePeriod reads "day", "week" or "month".
func ParsePeriod(text string) (Period, bool) {
	switch text {
	case "month":
		return Month, true
	case "week":
		return Week, true
	case "day":
		return Day, true
	}
	return 0, false
}

// ParseCount reads "sum", "out" or "max".
func ParseCount(text string) (Count, bool) {
	switch text {
	case "sum":
		return CountSum, true
	case "out":
		return CountOut, true
	case "max":
		return CountMax, true
	}
	return 0, false
}

// Start is when a period begins.
type Start struct {
	Day  int           // of a month: 1 to 31, the last one where there are fewer; of a week: 1 (Monday) to 7; 0 is 1
	Time time.Duration // after midnight UTC, below 24 h
}

// ErrStart is returned for text that is no start of a period.
var ErrStart = errors.New("limit: no start of a period")

var weekdays = [...]string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

// ParseStart reads when a period begins, UTC: "15:00" for a day; "mon 15:00" for a
// week; "3 15:00" for a month. Time or day may be missing, the empty text is midnight
// of the first day. Errors: ErrStart.
func ParseStart(each Period, text string) (Start, error) {
	s := Start{Day: 1}
	words := strings.Fields(strings.ToLower(text))
	if len(words) > 0 && each != Day && !strings.Contains(words[0], ":") {
		s.Day = 0
		if each == Week {
			for i, name := range weekdays {
				if words[0] == name {
					s.Day = i + 1
				}
			}
		} else if n, err := strconv.ParseUint(words[0], 10, 8); err == nil && n <= 31 {
			s.Day = int(n)
		}
		if s.Day < 1 {
			return Start{}, ErrStart
		}
		words = words[1:]
	}
	if len(words) > 0 {
		at, err := time.Parse("15:04", words[0])
		if err != nil {
			return Start{}, ErrStart
		}
		s.Time = time.Duration(at.Hour())*time.Hour + time.Duration(at.Minute())*time.Minute
		words = words[1:]
	}
	if len(words) > 0 {
		return Start{}, ErrStart
	}
	return s, nil
}

// around returns the period that now is in: from begin on, until before end.
func (p Period) around(s Start, now time.Time) (begin, end time.Time) {
	now = now.UTC()
	at := func(i int) time.Time { return p.begin(s, now, i) }
	i := 0
	for at(i).After(now) { // at most once or twice
		i--
	}
	for !at(i + 1).After(now) {
		i++
	}
	return at(i), at(i + 1)
}

// begin returns when the i-th period after that of now's day, week or month begins.
func (p Period) begin(s Start, now time.Time, i int) time.Time {
	day := max(s.Day, 1)
	y, m, d := now.Date()
	switch p {
	case Day:
		d += i
	case Week:
		d += day - (int(now.Weekday())+6)%7 - 1 + 7*i
	default:
		m += time.Month(i)
		last := time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
		d = min(day, last)
	}
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Add(s.Time)
}
