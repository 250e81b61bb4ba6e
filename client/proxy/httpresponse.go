// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "strings"

// response is one decoded response head.
type response struct {
	minor  byte // of HTTP/1.x
	status int
	line   string // status and reason, as sent
	fields []field
	body   framing
	reuse  bool // the connection may carry another request
}

// answerStart begins every answer that can be taken.
const answerStart = "HTTP/1."

// parseAnswerStart looks at the first bytes of an answer and takes none, so that a target which
// speaks something else first, and then waits, is not waited for.
func parseAnswerStart(b []byte) (none struct{}, n int, err error) {
	begun := min(len(b), len(answerStart))
	switch {
	case string(b[:begun]) != answerStart[:begun]:
		return none, 0, errHead
	case begun < len(answerStart):
		return none, 0, errShort
	}
	return none, 0, nil
}

// parseResponse decodes a head that ends with its empty line. Every fault is
// errHead or errCoding.
func parseResponse(head string) (response, error) {
	r := response{}
	line, rest, err := cutLine(head, true)
	if err != nil {
		return r, err
	}
	version, line, ok := strings.Cut(line, " ")
	if !ok || len(line) < 3 || len(line) > 3 && line[3] != ' ' || !validValue(line) {
		return r, errHead
	}
	switch version {
	case "HTTP/1.1":
		r.minor = 1
	case "HTTP/1.0":
	default:
		return r, errHead
	}
	for i := range 3 {
		if line[i] < '0' || line[i] > '9' {
			return r, errHead
		}
		r.status = 10*r.status + int(line[i]-'0')
	}
	if r.status < 100 || r.status > 599 {
		return r, errHead
	}
	r.line = line
	if r.fields, err = parseFields(rest, true); err != nil {
		return r, err
	}
	if r.body, err = parseFraming(r.fields, true); err != nil {
		return r, err
	}
	r.reuse = r.minor == 1 && !hasToken(r.fields, "Connection", "close")
	if r.body.chunked && (r.body.length >= 0 || r.minor == 0) {
		r.body.length, r.reuse = -1, false // Transfer-Encoding wins, but somebody is confused
	}
	return r, nil
}

// bodiless reports an answer that ends with its head.
func (r *response) bodiless(method string) bool {
	return method == "HEAD" || r.status < 200 || r.status == 204 || r.status == 304
}

// appendResponse appends the head as the program gets it. chunked: the body
// follows in chunks. over: the connection ends behind it. upgrade: it becomes a
// websocket.
func appendResponse(dst []byte, r *response, chunked, over, upgrade bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = append(dst, r.line...)
	dst = append(dst, '\r', '\n')
	named := connectionNames(r.fields)
	delete(named, "content-length")
	length := false
	for _, f := range r.fields {
		switch {
		case f.is("Content-Length"):
			if !length && !r.body.chunked && r.status >= 200 && r.status != 204 {
				dst = appendField(dst, f.name, f.value)
			}
			length = true
		case f.is(errorField) || !f.passes(named):
		default:
			dst = appendField(dst, f.name, f.value)
		}
	}
	switch {
	case upgrade:
		dst = appendField(dst, "Connection", "Upgrade")
		dst = appendField(dst, "Upgrade", "websocket")
	case chunked:
		dst = appendField(dst, "Transfer-Encoding", "chunked")
	}
	if over && !upgrade {
		dst = appendField(dst, "Connection", "close")
	}
	return append(dst, '\r', '\n')
}
