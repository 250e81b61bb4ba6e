// SPDX-License-Identifier: BSD-3-Clause

package genesis

import (
	"errors"
	"strconv"
	"time"
)

// Difference is one parameter that two sets do not agree on.
type Difference struct {
	Name        string // as in the specification
	Value, Base string // for people
}

// Differences lists the parameters of p that differ from base.
func (p Params) Differences(base Params) []Difference {
	var out []Difference
	theirs := base.sections()
	for i, rows := range p.sections() {
		for j, r := range rows {
			if r.number() != theirs[i][j].number() {
				out = append(out, Difference{Name: r.name, Value: r.text(), Base: theirs[i][j].text()})
			}
		}
	}
	return out
}

// Set changes one parameter by its name in the specification. A duration is
// written as in Go ("10s"), a flag as "on" or "off". Errors: ErrUnknownParam,
// ErrParams for a value that cannot be read or carried.
func (p *Params) Set(name, value string) error {
	for _, rows := range p.sections() {
		for _, r := range rows {
			if r.name == name {
				return r.set(value)
			}
		}
	}
	return ErrUnknownParam
}

// ErrUnknownParam means a parameter name that this version does not have.
var ErrUnknownParam = errors.New("genesis: no such parameter")

func (r row) set(value string) error {
	var n int64
	var err error
	switch r.at.(type) {
	case *time.Duration:
		var d time.Duration
		d, err = time.ParseDuration(value)
		if d%time.Millisecond != 0 {
			return ErrParams
		}
		n = d.Milliseconds()
	case *bool:
		switch value {
		case "on":
			n = 1
		case "off":
		default:
			return ErrParams
		}
	default:
		n, err = strconv.ParseInt(value, 10, 64)
	}
	if err != nil || n < 0 {
		return ErrParams
	}
	return r.put(uint64(n))
}

// text returns the value for people.
func (r row) text() string {
	switch at := r.at.(type) {
	case *time.Duration:
		return at.String()
	case *bool:
		if *at {
			return "on"
		}
		return "off"
	}
	return strconv.FormatInt(r.number(), 10)
}
