// SPDX-License-Identifier: BSD-3-Clause

package proxy

import "strconv"

// errorField names the reason of a failure. An origin server cannot set it.
const errorField = "X-Chive-Error"

// page is what the port says of itself to a plain request.
//
// Spec: product §4.2 (HTTP-3).
const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><title>chive: this is a proxy port</title>
<h1>This is chive's proxy port</h1>
<p>It is not a website. Programs reach the chive network through it; it speaks SOCKS5, SOCKS4,
SOCKS4a, HTTP CONNECT and plain HTTP proxying, told apart by the first byte.</p>
<p>Set this address and port as the SOCKS5 proxy of your program, with names resolved by the proxy
(<code>socks5h://</code>), or as its HTTP proxy. The section "Use the proxy" of chive's README has the settings of
programs and the variables of the environment.</p>
</html>
`

// statusText has the status codes that this package gives.
func statusText(status int) string {
	switch status {
	case 400:
		return "Bad Request"
	case 403:
		return "Forbidden"
	case 431:
		return "Request Header Fields Too Large"
	case 501:
		return "Not Implemented"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return "Bad Gateway"
}

// appendOwnAnswer appends an answer of the port itself; the connection ends
// behind it. reason may be empty; body is left out for HEAD.
func appendOwnAnswer(dst []byte, status int, reason, kind, body string, head bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(append(append(dst, ' '), statusText(status)...), '\r', '\n')
	if reason != "" {
		dst = appendField(dst, errorField, reason)
	}
	dst = appendField(dst, "Content-Type", kind+"; charset=utf-8")
	dst = appendField(dst, "Content-Length", strconv.Itoa(len(body)))
	dst = appendField(dst, "Content-Security-Policy", "default-src 'none'")
	dst = appendField(dst, "X-Content-Type-Options", "nosniff")
	dst = appendField(dst, "Cache-Control", "no-store")
	dst = appendField(dst, "Connection", "close")
	dst = append(dst, '\r', '\n')
	if head {
		return dst
	}
	return append(dst, body...)
}

// appendFailure appends the answer to a request that failed.
func appendFailure(dst []byte, status int, o *outcome, head bool) []byte {
	return appendOwnAnswer(dst, status, o.reason, "text/plain", o.sentence+"\n", head)
}
