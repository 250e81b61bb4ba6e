// SPDX-License-Identifier: BSD-3-Clause

package proxy

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
)

var (
	errCoding  = errors.New("proxy: transfer coding not supported")
	errScheme  = errors.New("proxy: scheme not supported")
	errVersion = errors.New("proxy: HTTP version not supported")
)

// form is what a request wants of the proxy.
type form byte

const (
	formOrigin   form = iota // a page of the port itself
	formAbsolute             // GET http://host/path
	formConnect              // CONNECT host:port
)

// request is one decoded request head.
type request struct {
	method  string
	form    form
	to      address
	target  string // absolute form: what the origin server is asked for
	host    string // absolute form: the authority, for Host
	minor   byte   // of HTTP/1.x
	fields  []field
	body    framing
	upgrade bool // asks for a websocket
	cred    credentials
}

// parseRequest decodes a head that ends with its empty line.
//
//	method SP target SP HTTP/1.x CRLF  (name ":" value CRLF)*  CRLF
//
// errHead, errCoding, errScheme, errVersion: what is wrong with it.
//
// Spec: product §4.2 (HTTP-1, HTTP-2).
func parseRequest(head string) (request, error) {
	r := request{}
	line, rest, err := cutLine(head, false)
	if err != nil {
		return r, err
	}
	method, line, ok1 := strings.Cut(line, " ")
	target, version, ok2 := strings.Cut(line, " ")
	if !ok1 || !ok2 || !isToken(method) || !validTarget(target) {
		return r, errHead
	}
	r.method = method
	switch version {
	case "HTTP/1.1":
		r.minor = 1
	case "HTTP/1.0":
	default:
		if strings.HasPrefix(version, "HTTP/") {
			return r, errVersion
		}
		return r, errHead
	}
	if r.fields, err = parseFields(rest, false); err != nil {
		return r, err
	}
	if err := r.parseTarget(target); err != nil {
		return r, err
	}
	if r.body, err = parseFraming(r.fields, false); err != nil {
		return r, err
	}
	if r.body.chunked && r.minor == 0 || r.form == formConnect && (r.body.chunked || r.body.length > 0) {
		return r, errHead
	}
	return r, r.parseMeaning()
}

// parseMeaning reads the fields that the proxy itself acts on.
func (r *request) parseMeaning() error {
	hosts := 0
	for _, f := range r.fields {
		if f.is("Host") {
			hosts++
		}
	}
	named := connectionNames(r.fields)
	if hosts > 1 || named["host"] || named["content-length"] || named["transfer-encoding"] {
		return errHead
	}
	r.upgrade = r.minor == 1 && named["upgrade"] && hasToken(r.fields, "Upgrade", "websocket")
	r.cred = parseCredentials(r.fields)
	return nil
}

// keepAlive reports that the program may send another request.
func (r *request) keepAlive() bool {
	return r.minor == 1 && !hasToken(r.fields, "Connection", "close") && !hasToken(r.fields, "Proxy-Connection", "close")
}

// replayable reports a request that may be sent twice: it has no body, and its
// method changes nothing.
func (r *request) replayable() bool {
	switch r.method {
	case "GET", "HEAD", "OPTIONS":
		return !r.body.chunked && r.body.length <= 0 && !r.upgrade
	}
	return false
}

// validTarget refuses an empty target, control characters and space.
func validTarget(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7F || s[i] == '#' {
			return false
		}
	}
	return s != ""
}

// parseTarget tells the three forms apart.
func (r *request) parseTarget(target string) error {
	if r.method == "CONNECT" {
		r.form = formConnect
		return r.parseAuthority(target, 0)
	}
	if target[0] == '/' || target == "*" {
		return nil
	}
	scheme, rest, ok := strings.Cut(target, "://")
	if !ok || !isToken(scheme) {
		return errHead
	}
	if !strings.EqualFold(scheme, "http") {
		return errScheme
	}
	r.form = formAbsolute
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	r.host, r.target = rest[:end], rest[end:]
	switch {
	case r.target == "" && r.method == "OPTIONS":
		r.target = "*"
	case r.target == "" || r.target[0] == '?':
		r.target = "/" + r.target
	}
	return r.parseAuthority(r.host, 80)
}

// parseAuthority decodes host:port, name:port or [address]:port; without a port
// it is fallback, where that is not 0.
func (r *request) parseAuthority(s string, fallback uint16) error {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.IndexByte(s[i:], ']') < 0 {
		host, port = s[:i], s[i+1:]
	}
	bracketed := len(host) > 2 && host[0] == '[' && host[len(host)-1] == ']'
	if host == "" || !bracketed && strings.ContainsAny(host, "@:[]/?\\") {
		return errHead
	}
	r.to = address{name: host, port: fallback}
	if port == "" && fallback != 0 {
		return nil
	}
	if len(port) > 5 || strings.Trim(port, "0123456789") != "" {
		return errHead
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return errHead
	}
	r.to.port = uint16(n)
	return nil
}

// parseCredentials reads what keeps this request apart from others: user and
// password of Basic, which are those of SOCKS5, or else the fields as they are.
//
// Spec: product §4.2 (HTTP-2).
func parseCredentials(fields []field) credentials {
	var c credentials
	var auth, extra []string
	for _, f := range fields {
		switch {
		case f.is("Proxy-Authorization"):
			auth = append(auth, f.value)
		case isolates(f):
			extra = append(extra, f.value)
		}
	}
	if len(auth) == 1 {
		if user, password, ok := parseBasic(auth[0]); ok {
			c.user, c.password, auth = user, password, nil
		}
	}
	// No field value holds a line end, so the parts cannot run into each other.
	if len(auth) > 0 || len(extra) > 0 {
		c.extra = strings.Join(auth, "\n") + "\n\n" + strings.Join(extra, "\n")
	}
	return c
}

// isolates reports the two fields that carry a key of their own and go no
// further.
func isolates(f field) bool { return f.is("X-Chive-Isolation") || f.is("X-Tor-Stream-Isolation") }

// parseBasic decodes the value of Proxy-Authorization: Basic.
func parseBasic(s string) (user, password string, ok bool) {
	scheme, coded, _ := strings.Cut(s, " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	plain, err := base64.StdEncoding.DecodeString(strings.Trim(coded, " "))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(plain), ":")
}

// appendRequest appends the head as the origin server gets it: in origin form,
// Host from the target, every other field that may pass in its place, spelling
// and order, and nothing added.
//
// Spec: product §4.2 (HTTP-1).
func appendRequest(dst []byte, r *request) []byte {
	dst = append(dst, r.method...)
	dst = append(dst, ' ')
	dst = append(dst, r.target...)
	dst = append(dst, " HTTP/1."...)
	dst = append(dst, '0'+r.minor, '\r', '\n')
	named := connectionNames(r.fields)
	host := false
	for _, f := range r.fields {
		host = host || f.is("Host")
	}
	if !host {
		dst = appendField(dst, "Host", r.host)
	}
	for _, f := range r.fields {
		switch {
		case f.is("Host"):
			dst = appendField(dst, f.name, r.host)
		case f.is("Transfer-Encoding"):
			dst = appendField(dst, f.name, "chunked")
		case r.upgrade && f.is("Connection"):
			dst = appendField(dst, f.name, "Upgrade")
		case r.upgrade && f.is("Upgrade"):
			dst = appendField(dst, f.name, "websocket")
		case isolates(f) || !f.passes(named):
		default:
			dst = appendField(dst, f.name, f.value)
		}
	}
	return append(dst, '\r', '\n')
}
