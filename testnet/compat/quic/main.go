// SPDX-License-Identifier: BSD-3-Clause

// Command quic is a server and a client of HTTP/3 for the compatibility tests, made of
// github.com/quic-go/quic-go as its users make theirs. It has a module of its own, so
// that the network's stays small.
//
//	quic serve FILE                       prints its port and its certificate's digest, gives FILE away
//	quic fetch PROXY HOST PORT DIGEST     writes to standard output what HOST gives, through PROXY
//
// fetch reaches the server by the SOCKS port's UDP ASSOCIATE alone, looks no name up by
// itself, and takes no certificate but the one of that digest. It is no part of chive.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const patience = 45 * time.Second

var (
	errUsage = errors.New("usage: quic serve FILE | quic fetch PROXY HOST PORT DIGEST")
	errProxy = errors.New("the proxy refuses")
	errPeer  = errors.New("another certificate")
)

func main() {
	err := errUsage
	switch {
	case len(os.Args) == 3 && os.Args[1] == "serve":
		err = serve(os.Args[2])
	case len(os.Args) == 6 && os.Args[1] == "fetch":
		err = fetch(os.Args[2], os.Args[3], os.Args[4], os.Args[5])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(file string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s := &http3.Server{
		TLSConfig: http3.ConfigureTLSConfig(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}),
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) }),
	}
	digest := sha256.Sum256(der)
	fmt.Println(conn.LocalAddr().(*net.UDPAddr).Port, hex.EncodeToString(digest[:]))
	go func() { _ = s.Serve(conn) }()
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started it is gone
	return s.Close()
}

func fetch(proxy, host, port, digest string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || len(host) > 255 {
		return errUsage
	}
	conn, err := associate(ctx, proxy, far{host, uint16(number)})
	if err != nil {
		return err
	}
	defer conn.Close()
	carrier := &quic.Transport{Conn: conn}
	defer carrier.Close()
	client := &http3.Transport{
		TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, // a digest is asked for below, which no other certificate has
			VerifyConnection: func(s tls.ConnectionState) error {
				if got := sha256.Sum256(s.PeerCertificates[0].Raw); hex.EncodeToString(got[:]) != digest {
					return errPeer
				}
				return nil
			},
		},
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return carrier.Dial(ctx, conn.far, t, q)
		},
	}
	defer client.Close()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+conn.far.String()+"/", nil)
	if err != nil {
		return err
	}
	got, err := client.RoundTrip(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if got.StatusCode != http.StatusOK {
		return errors.New(got.Status)
	}
	_, err = io.Copy(os.Stdout, got.Body)
	return err
}

// far is a host that the exit looks up.
type far struct {
	host string
	port uint16
}

func (far) Network() string  { return "udp" }
func (f far) String() string { return net.JoinHostPort(f.host, strconv.Itoa(int(f.port))) }

// association is a SOCKS5 UDP association, RFC 1928 section 7, as a PacketConn that
// leads to one host.
type association struct {
	net.Conn          // to the proxy's UDP port
	control  net.Conn // its end ends the association
	far      far
	head     []byte // of each datagram
}

// associate asks the proxy for an association.
func associate(ctx context.Context, proxy string, to far) (*association, error) {
	control, err := new(net.Dialer).DialContext(ctx, "tcp", proxy)
	if err != nil {
		return nil, err
	}
	answer := make([]byte, 2+4+4+2) // both answers, the second with an IPv4 address
	_, err = control.Write([]byte{5, 1, 0, 5, 3, 0, 1, 0, 0, 0, 0, 0, 0})
	if err == nil {
		_, err = io.ReadFull(control, answer)
	}
	if err == nil && (answer[1] != 0 || answer[3] != 0 || answer[5] != 1) {
		err = errProxy
	}
	if err != nil {
		control.Close()
		return nil, err
	}
	at := &net.UDPAddr{IP: answer[6:10], Port: int(binary.BigEndian.Uint16(answer[10:]))}
	datagrams, err := net.DialUDP("udp4", nil, at)
	if err != nil {
		control.Close()
		return nil, err
	}
	head := append([]byte{0, 0, 0, 3, byte(len(to.host))}, to.host...)
	return &association{datagrams, control, to, binary.BigEndian.AppendUint16(head, to.port)}, nil
}

// WriteTo sends a datagram to the host.
func (a *association) WriteTo(b []byte, _ net.Addr) (int, error) {
	if _, err := a.Write(append(a.head[:len(a.head):len(a.head)], b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

// ReadFrom takes the next datagram; only the host's come here.
func (a *association) ReadFrom(b []byte) (int, net.Addr, error) {
	whole := make([]byte, 64<<10)
	for {
		n, err := a.Read(whole)
		if err != nil {
			return 0, nil, err
		}
		const head = 4 + 4 + 2 // with the IPv4 address that the exit found
		if n >= head && whole[2] == 0 && whole[3] == 1 && binary.BigEndian.Uint16(whole[8:]) == a.far.port {
			return copy(b, whole[head:n]), a.far, nil
		}
	}
}

// Close ends the association.
func (a *association) Close() error { return errors.Join(a.Conn.Close(), a.control.Close()) }
