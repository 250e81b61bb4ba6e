// SPDX-License-Identifier: BSD-3-Clause

package testnet_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"chive/client"
	"chive/directory/genesis"
	"chive/link"
	"chive/testnet"
)

// docs/embedding.md shows the bodies of what follows; TestTheGuideShowsTheExamples keeps
// them equal.

// inTestnet runs f with the first client of a testnet.
func inTestnet(f func(ctx context.Context, network *testnet.Network, role *client.Client) error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	network, err := testnet.Start(ctx, testnet.Config{Relays: 6, Exits: 2})
	if err == nil {
		defer network.Close()
		err = f(ctx, network, network.Clients[0].Client)
	}
	if err != nil {
		fmt.Println(err)
	}
}

// join makes a client of the network that a document describes. The client works until
// ctx ends.
func join(ctx context.Context, document []byte) (*client.Client, error) {
	doc, err := genesis.Parse(document)
	if err != nil {
		return nil, err
	}
	role, err := client.New(client.Config{
		Genesis:   doc,
		Transport: link.TCP{},
		Rand:      rand.Reader,
		Progress:  func(p client.Progress) { /* p.Percent, p.Tag; p.Cause when it stands still */ },
	})
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- role.Run(ctx) }()
	select {
	case <-role.Ready(): // it has a circuit; what is dialled before waits for that
		return role, nil
	case err := <-ended:
		return nil, err
	}
}

// A program joins a network by its genesis document.
func ExampleClient_join() {
	inTestnet(func(ctx context.Context, network *testnet.Network, _ *client.Client) error {
		document, err := network.Genesis.Encode()
		if err != nil {
			return err
		}
		ctx, leave := context.WithCancel(ctx)
		defer leave()
		role, err := join(ctx, document)
		if err != nil {
			return err
		}
		fmt.Println(role.Status().Bootstrap.Percent, "%")
		return nil
	})
	// Output: 100 %
}

// An http.Client fetches a page. What goes through two Dialers of different keys shares
// no circuit.
func ExampleClient_http() {
	inTestnet(func(ctx context.Context, _ *testnet.Network, role *client.Client) error {
		transport := role.Dialer("one user's pages").Transport()
		defer transport.CloseIdleConnections()
		browser := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		answer, err := browser.Get("http://hello.test/")
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		page, err := io.ReadAll(answer.Body)
		fmt.Printf("%s: %s", answer.Status, page)
		return err
	})
	// Output: 200 OK: Hello from the far side of three relays.
}

// A connection is a net.Conn; an error says why and what to do.
func ExampleClient_dial() {
	inTestnet(func(ctx context.Context, _ *testnet.Network, role *client.Client) error {
		dialer := role.Dialer("mail")
		conn, err := dialer.DialContext(ctx, "tcp", "hello.test:80")
		if err != nil {
			return err
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
		answer, err := io.ReadAll(conn)
		fmt.Printf("%.15s\n", answer)

		_, refused := dialer.DialContext(ctx, "tcp", "hello.test:25")
		var why *client.Failure
		if errors.As(refused, &why) {
			fmt.Printf("%s: %s; %s\n", why.Reason(), why, why.Fix())
		}
		return err
	})
	// Output:
	// HTTP/1.0 200 OK
	// refused_by_target: the host refused the connection; check the port and that the server is running
}

// Datagrams leave from exits.
func ExampleClient_udp() {
	server, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	go func() { // answers one datagram
		b := make([]byte, 64)
		if n, from, err := server.ReadFrom(b); err == nil {
			_, _ = server.WriteTo(b[:n], from)
		}
	}()
	target := server.LocalAddr()
	inTestnet(func(ctx context.Context, _ *testnet.Network, role *client.Client) error {
		socket, err := role.Dialer("time").ListenPacket(ctx, "udp", ":0")
		if err != nil {
			return err
		}
		defer socket.Close()
		if err := socket.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return err
		}
		if _, err := socket.WriteTo([]byte("what time is it?"), target); err != nil {
			return err
		}
		b := make([]byte, 1500)
		n, from, err := socket.ReadFrom(b)
		fmt.Printf("%s, from the target: %v\n", b[:n], from.String() == target.String())
		return err
	})
	// Output: what time is it?, from the target: true
}

// Names are looked up at an exit, never by this machine.
func ExampleClient_lookup() {
	inTestnet(func(ctx context.Context, _ *testnet.Network, role *client.Client) error {
		dialer := role.Dialer("names")
		addrs, err := dialer.LookupNetIP(ctx, "ip4", "hello.test")
		if err != nil {
			return err
		}
		fmt.Println(len(addrs))

		_, err = dialer.LookupNetIP(ctx, "ip4", "nowhere.test")
		var missing *net.DNSError
		fmt.Println(errors.As(err, &missing) && missing.IsNotFound)
		return nil
	})
	// Output:
	// 1
	// true
}
