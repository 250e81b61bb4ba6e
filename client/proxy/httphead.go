// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"bytes"
	"errors"
	"io"
	"strings"
)

const maxFields = 500 // of one head

// errHead is every fault of a head that has no code of its own.
var errHead = errors.New("proxy: malformed head")

// field is one header field, name and value as they were sent, without the
// space around the value.
type field struct{ name, value string }

// is compares names as HTTP does.
func (f field) is(name string) bool { return strings.EqualFold(f.name, name) }

// readHead takes a head with its empty line away and returns a copy. errFull:
// it is longer than limit. io.EOF: the stream ended before its first byte.
func (f *feed) readHead(limit int) (string, error) {
	for {
		if n := headEnd(f.buffered(), f.scan); n > limit {
			return "", errFull
		} else if n > 0 {
			head := string(f.buffered()[:n])
			f.advance(n)
			return head, nil
		}
		f.scan = max(0, f.w-f.r-2)
		if err := f.fill(limit + 1); err != nil {
			if err == io.EOF && f.w > f.r {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// headEnd returns the size of the head that b begins with, 0 when its end is
// not there. It looks from offset from on. A line ends at LF here; whether a
// bare LF is legal is for the parser to say.
func headEnd(b []byte, from int) int {
	for {
		i := bytes.IndexByte(b[from:], '\n')
		if i < 0 {
			return 0
		}
		from += i + 1
		if rest := b[from:]; len(rest) > 0 && rest[0] == '\n' {
			return from + 1
		} else if len(rest) > 1 && rest[0] == '\r' && rest[1] == '\n' {
			return from + 2
		}
	}
}

// cutLine takes the first line without its end. Strictly it ends with CRLF;
// leniently a bare LF will do. A CR elsewhere is never legal.
func cutLine(s string, lenient bool) (line, rest string, err error) {
	line, rest, ok := strings.Cut(s, "\n")
	if !ok {
		return "", "", errHead
	}
	line, crlf := strings.CutSuffix(line, "\r")
	if !crlf && !lenient || strings.IndexByte(line, '\r') >= 0 {
		return "", "", errHead
	}
	return line, rest, nil
}

// parseFields decodes header fields up to the empty line, which must be the
// end of s. Requests are taken strictly, so that nobody behind can read them
// differently; from answers also bare LF, folded lines and space before the
// colon are taken, and sent on in the strict form.
func parseFields(s string, lenient bool) ([]field, error) {
	if lenient {
		s = unfold(s)
	}
	var fields []field
	for {
		line, rest, err := cutLine(s, lenient)
		if err != nil {
			return nil, err
		}
		s = rest
		if line == "" {
			if s != "" {
				return nil, errHead
			}
			return fields, nil
		}
		name, value, ok := strings.Cut(line, ":")
		if lenient {
			name = strings.TrimRight(name, " \t")
		}
		if !ok || !isToken(name) || !validValue(value) || len(fields) == maxFields {
			return nil, errHead
		}
		fields = append(fields, field{name: name, value: strings.Trim(value, " \t")})
	}
}

// unfold makes one line of a folded one: spaces take the place of its line ends.
func unfold(s string) string {
	if !strings.Contains(s, "\n ") && !strings.Contains(s, "\n\t") {
		return s
	}
	b := []byte(s)
	for i := 1; i+1 < len(b); i++ {
		if b[i] == '\n' && (b[i+1] == ' ' || b[i+1] == '\t') {
			b[i] = ' '
			if b[i-1] == '\r' {
				b[i-1] = ' '
			}
		}
	}
	return string(b)
}

// isToken reports a token of RFC 9110.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0 {
			continue
		}
		return false
	}
	return s != ""
}

// validValue refuses control characters other than the tab.
func validValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7F {
			return false
		}
	}
	return true
}

// tokens calls f for each element of the comma-separated fields called name.
func tokens(fields []field, name string, f func(token string)) {
	for _, h := range fields {
		if !h.is(name) {
			continue
		}
		for rest, more := h.value, true; more; {
			var token string
			token, rest, more = strings.Cut(rest, ",")
			if token = strings.Trim(token, " \t"); token != "" {
				f(strings.ToLower(token))
			}
		}
	}
}

// hasToken reports that one of the elements is token.
func hasToken(fields []field, name, token string) bool {
	found := false
	tokens(fields, name, func(t string) { found = found || t == token })
	return found
}

// framing is where a message's body ends.
type framing struct {
	chunked bool
	length  int64 // -1: not given
}

// parseFraming reads Transfer-Encoding and Content-Length. Equal lengths said
// twice are taken leniently only. errCoding: a transfer coding other than
// chunked.
func parseFraming(fields []field, lenient bool) (framing, error) {
	f := framing{length: -1}
	for _, h := range fields {
		switch {
		case h.is("Transfer-Encoding"):
			if f.chunked || !strings.EqualFold(h.value, "chunked") {
				return f, errCoding
			}
			f.chunked = true
		case h.is("Content-Length"):
			n, err := parseLength(h.value)
			if err != nil || f.length >= 0 && (!lenient || n != f.length) {
				return f, errHead
			}
			f.length = n
		}
	}
	if f.chunked && f.length >= 0 && !lenient {
		return f, errHead
	}
	return f, nil
}

// parseLength decodes a Content-Length: 1 to 18 digits.
func parseLength(s string) (int64, error) {
	if len(s) == 0 || len(s) > 18 {
		return 0, errHead
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, errHead
		}
		n = 10*n + int64(s[i]-'0')
	}
	return n, nil
}

// hopFields concern one connection only and never pass, in either direction;
// Proxy-* and what Connection names go too (HTTP-1).
var hopFields = [...]string{"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade"}

// passes reports that a field may go on; named are the elements of Connection.
func (f field) passes(named map[string]bool) bool {
	for _, name := range hopFields {
		if f.is(name) {
			return false
		}
	}
	lower := strings.ToLower(f.name)
	return !strings.HasPrefix(lower, "proxy-") && !named[lower]
}

// connectionNames collects the elements of Connection.
func connectionNames(fields []field) map[string]bool {
	named := map[string]bool{}
	tokens(fields, "Connection", func(t string) { named[t] = true })
	return named
}

func appendField(dst []byte, name, value string) []byte {
	dst = append(append(dst, name...), ": "...)
	return append(append(dst, value...), "\r\n"...)
}
