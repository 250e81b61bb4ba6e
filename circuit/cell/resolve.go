// SPDX-License-Identifier: BSD-3-Clause

package cell

import (
	"encoding/binary"
	"net/netip"
)

// Kinds of RESOLVE.
const (
	ResolveName    byte = 0 // addresses of a name
	ResolveReverse byte = 1 // names of an address
)

// MaxAnswers is the largest number of answers in a RESOLVED message.
const MaxAnswers = 8

// Resolve asks for the addresses of a name, or the names of an address given as
// text.
//
//	kind 1 | length 1 | name
//
// Spec: protocol §5.
type Resolve struct {
	Kind byte
	Name string
}

// Append appends r's body to dst. ErrSize, ErrFormat: a field out of bounds.
func (r Resolve) Append(dst []byte) ([]byte, error) {
	if len(r.Name) == 0 || len(r.Name) > MaxHost {
		return dst, ErrSize
	}
	if r.Kind > ResolveReverse || !validHost(r.Name) {
		return dst, ErrFormat
	}
	return append(append(dst, r.Kind, byte(len(r.Name))), r.Name...), nil
}

// ParseResolve decodes a RESOLVE body.
func ParseResolve(p []byte) (Resolve, error) {
	if len(p) < 2 || len(p) != 2+int(p[1]) || p[1] == 0 || int(p[1]) > MaxHost {
		return Resolve{}, ErrSize
	}
	r := Resolve{Kind: p[0], Name: string(p[2:])}
	if r.Kind > ResolveReverse || !validHost(r.Name) {
		return Resolve{}, ErrFormat
	}
	return r, nil
}

// Resolved answers RESOLVE.
//
//	reason 1 | ttl 4 (seconds) | count 1 | count x answer
//	answer   4 | address 4,  6 | address 16,  1 | length 1 | name
//
// Addresses come before names. Spec: protocol §5.
type Resolved struct {
	Reason     byte
	TTLSeconds uint32
	Addrs      []netip.Addr
	Names      []string
}

const answerName = 1

// Append appends r's body to dst. ErrSize, ErrFormat: a field out of bounds.
func (r Resolved) Append(dst []byte) ([]byte, error) {
	if len(r.Addrs)+len(r.Names) > MaxAnswers {
		return dst, ErrSize
	}
	start := len(dst)
	dst = append(dst, r.Reason)
	dst = binary.BigEndian.AppendUint32(dst, r.TTLSeconds)
	dst = append(dst, byte(len(r.Addrs)+len(r.Names)))
	for _, a := range r.Addrs {
		if !a.IsValid() {
			return dst[:start], ErrFormat
		}
		dst = appendAddr(dst, a)
	}
	for _, n := range r.Names {
		if len(n) == 0 || len(n) > MaxHost {
			return dst[:start], ErrSize
		}
		if !validHost(n) {
			return dst[:start], ErrFormat
		}
		dst = append(append(dst, answerName, byte(len(n))), n...)
	}
	if len(dst)-start > MaxBody {
		return dst[:start], ErrSize
	}
	return dst, nil
}

// ParseResolved decodes a RESOLVED body.
func ParseResolved(p []byte) (Resolved, error) {
	if len(p) < 6 || len(p) > MaxBody {
		return Resolved{}, ErrSize
	}
	r := Resolved{Reason: p[0], TTLSeconds: binary.BigEndian.Uint32(p[1:])}
	count := int(p[5])
	if count > MaxAnswers {
		return Resolved{}, ErrSize
	}
	p = p[6:]
	for range count {
		if len(p) < 2 {
			return Resolved{}, ErrSize
		}
		if p[0] != answerName {
			a, rest, err := takeAddr(p)
			if err != nil {
				return Resolved{}, err
			}
			if !a.IsValid() || len(r.Names) > 0 {
				return Resolved{}, ErrFormat
			}
			r.Addrs, p = append(r.Addrs, a), rest
			continue
		}
		n := int(p[1])
		if n == 0 || n > MaxHost || len(p) < 2+n {
			return Resolved{}, ErrSize
		}
		name := string(p[2 : 2+n])
		if !validHost(name) {
			return Resolved{}, ErrFormat
		}
		r.Names, p = append(r.Names, name), p[2+n:]
	}
	if len(p) != 0 {
		return Resolved{}, ErrSize
	}
	return r, nil
}
