// SPDX-License-Identifier: BSD-3-Clause

package web

import (
	"net"
	"net/http"
	"strconv"
)

// policy is what the page may load and who may hold it: its own files, and nobody. The
// last part keeps text from becoming markup, whatever a script tries.
const policy = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'; require-trusted-types-for 'script'"

// protect sets what holds for every answer. Spec: PAGE-2.
func protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
}

// hosts are the names under which a browser may ask for the page of a listener. Any
// other may be a site's whose name was rebound to loopback.
func hosts(a *net.TCPAddr) map[string]bool {
	port := strconv.Itoa(a.Port)
	return map[string]bool{
		net.JoinHostPort(a.IP.String(), port): true,
		net.JoinHostPort("localhost", port):   true,
	}
}

// fromElsewhere reports whether another site made a request. A link to the page may be
// followed from anywhere: the page alone says nothing.
func fromElsewhere(r *http.Request) bool {
	if origins := r.Header.Values("Origin"); len(origins) > 1 || len(origins) == 1 && origins[0] != "http://"+r.Host {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return http.NewCrossOriginProtection().Check(r) != nil
	}
	opens := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !opens || r.Method != http.MethodGet || r.URL.Path != "/"
}
