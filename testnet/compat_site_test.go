// SPDX-License-Identifier: BSD-3-Clause

package testnet

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	randv2 "math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// site is a web server on ports 80 and 443 of siteName and its subdomains.
type site struct {
	cert string // file, PEM
	blob []byte // what /blob serves, with ranges

	held    chan struct{} // a token for each request to /hold
	release chan struct{} // each token lets one of them go

	scripts atomic.Int64 // scripts of /page that were fetched
}

// siteHosts are its names: a page whose parts come from several of them needs
// several connections.
var siteHosts = []string{siteName, "a." + siteName, "b." + siteName, "c." + siteName, "d." + siteName}

func newSite(t *testing.T, w *town) *site {
	t.Helper()
	s := &site{held: make(chan struct{}, 16), release: make(chan struct{}), blob: make([]byte, 8<<20)}
	_, _ = stream(1).Read(s.blob)
	cert, file := selfMade(t)
	s.cert = file
	server := &http.Server{Handler: s.handler(), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	secure := &http.Server{Handler: s.handler(), ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2", "http/1.1"}}}
	t.Cleanup(func() { server.Close(); secure.Close() })
	for _, host := range append([]string{farName}, siteHosts...) {
		plain, private := w.listen(t, host, 80), w.listen(t, host, 443)
		go func() { _ = server.Serve(plain) }()
		go func() { _ = secure.ServeTLS(private, "", "") }()
	}
	return s
}

// selfMade makes a certificate for the site that nobody has signed.
func selfMade(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: siteName}, DNSNames: siteHosts,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, BasicConstraintsValid: true, IsCA: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "site.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// stream returns an endless stream of bytes that never repeats, fast, the same for
// the same seed.
func stream(seed byte) io.Reader { return randv2.NewChaCha8([32]byte{seed}) }

// sum returns the SHA-256 of what r gives, and how much that was.
func sum(r io.Reader) (string, int64, error) {
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, struct{ io.Reader }{r}, make([]byte, 128<<10))
	return hex.EncodeToString(h.Sum(nil)), n, err
}

// scriptCount is how many parts /page has.
const scriptCount = 50

func (s *site) handler() http.Handler {
	mux := http.NewServeMux()
	// What was asked, and every header that a proxy could have added.
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		var added []string
		for name := range r.Header {
			if strings.HasPrefix(name, "Proxy") || strings.HasPrefix(name, "X-") || name == "Via" || name == "Forwarded" {
				added = append(added, name)
			}
		}
		slices.Sort(added)
		fmt.Fprintf(w, "%s %s://%s%s %s%s", r.Method, scheme, r.Host, r.URL.Path, body, strings.Join(added, ","))
	})
	mux.HandleFunc("GET /hold", func(w http.ResponseWriter, r *http.Request) {
		s.held <- struct{}{}
		select {
		case <-s.release:
			_, _ = io.WriteString(w, "held")
		case <-r.Context().Done():
		}
	})
	mux.HandleFunc("GET /stream/{seed}/{n}", func(w http.ResponseWriter, r *http.Request) {
		seed, err1 := strconv.ParseUint(r.PathValue("seed"), 10, 8)
		n, err2 := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err1 != nil || err2 != nil {
			http.Error(w, "not numbers", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(stream(byte(seed)), n), make([]byte, 128<<10))
	})
	mux.HandleFunc("POST /digest", func(w http.ResponseWriter, r *http.Request) {
		digest, n, err := sum(r.Body)
		fmt.Fprintf(w, "%s %d %v", digest, n, err)
	})
	mux.HandleFunc("GET /blob", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "blob", time.Unix(1e9, 0), bytes.NewReader(s.blob))
	})
	mux.HandleFunc("GET /page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		fmt.Fprint(w, `<!doctype html><title>parts</title><script>var parts = 0</script><p id="said">`)
		for i := range scriptCount {
			fmt.Fprintf(w, "<script async src=\"%s://%s/part/%d\"></script>\n", scheme, siteHosts[i%len(siteHosts)], i)
		}
		fmt.Fprint(w, `<script>onload = () => { document.getElementById("said").textContent = "parts: " + parts }</script>`)
	})
	mux.HandleFunc("GET /part/{i}", func(w http.ResponseWriter, r *http.Request) {
		s.scripts.Add(1)
		w.Header().Set("Content-Type", "text/javascript")
		// Parts of up to 200 KB.
		i, _ := strconv.Atoi(r.PathValue("i"))
		fmt.Fprintf(w, "parts++ // %s\n", strings.Repeat("x", i%10*20_000))
	})
	return mux
}
